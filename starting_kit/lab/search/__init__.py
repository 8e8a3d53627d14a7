"""Better deployment tables, by swaps of slots."""
