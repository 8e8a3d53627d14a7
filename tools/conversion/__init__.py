"""What `traces.py convert` is made of: dumps of serving engines read into hotness [iteration, layer, expert]."""
