"""Static: keep the initial deployment. The least a policy can do, and what no load balancer costs.

Source: none; in the function form, of the competition's first edition.
When to use: to see what the initial deployment alone gives. Every balancer must beat that.
Measured: composite_score 68.5176 on the sample grid, whose traces are generated.
"""


def rebalance(hotness, n_device, n_red_expert):
    """Decline every call: nothing is moved."""
    return False, None, None, None
