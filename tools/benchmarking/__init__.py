"""What tools/benchmark.py measures, part by part."""
