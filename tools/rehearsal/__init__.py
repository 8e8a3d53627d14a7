"""What `tools/rehearse.py` is made of: a built bundle and a submission taken through a compute worker's two jobs."""
