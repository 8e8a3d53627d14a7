"""Adapters: balancers of other engines run as policies here, and policies of this kit run in other engines."""
