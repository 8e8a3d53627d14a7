"""Whole deployment tables of a layer, made from the loads of its experts."""
