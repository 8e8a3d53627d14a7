"""The kit's commands, a module each, and what they work with; kit.py is the way in."""
