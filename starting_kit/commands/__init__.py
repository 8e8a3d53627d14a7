"""The kit's commands, one module each, and the modules that they share. kit.py is the entry point."""
