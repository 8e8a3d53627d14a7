"""What the grids and the generated traces are worth for judging policies."""
