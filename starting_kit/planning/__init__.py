"""Building blocks of planners, on arrays only: a policy may copy them, and the lab plans with them."""
