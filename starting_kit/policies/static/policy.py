"""Static: keep the initial deployment. The least a policy can do, and what no load balancer costs."""


def rebalance(hotness, n_device, n_red_expert):
    """Decline every call: nothing is moved."""
    return False, None, None, None
