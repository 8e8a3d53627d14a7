"""The boundary: a policy in its own process, with the rest of the machine closed."""
