"""The planner lab: what placement, replication, routing and search could do at best, on routing of single tokens."""
