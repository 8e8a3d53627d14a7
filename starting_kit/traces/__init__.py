"""Traces: made, converted, described, listed in a manifest, and the references measured on them."""
