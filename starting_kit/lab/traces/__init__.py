"""Routing of single tokens: reading, drawing, counting and cutting into batches."""
