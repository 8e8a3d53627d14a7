"""Building blocks of planners, on arrays only: a policy may import them, and the lab plans with them."""
