"""A submission: the folder of policy.py, the accepted files, and the receipt."""
