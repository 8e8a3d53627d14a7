"""What was uploaded: the folder of policy.py, which files are accepted, the receipt."""
