"""Adapters: a balancer of another engine's interface runs as a policy here, and a policy of this kit runs there."""
