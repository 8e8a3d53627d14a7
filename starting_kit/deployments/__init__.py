"""Placement files that engines start from: written and read, one module for each form."""
