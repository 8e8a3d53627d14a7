"""How a deployment table serves batches of tokens: grid, replicas, routers, times and measures."""
