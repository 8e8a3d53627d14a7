"""What tools/bundle.py is made of: the parts of a competition bundle, and the rules that a built one must keep."""
