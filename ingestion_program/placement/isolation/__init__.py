"""The boundary: a policy in a process of its own, and all that closes the rest of the machine to it."""
