"""Two forecasts for the champion's planner that are not the champion's, to compare with on recorded requests."""
