"""Re-scores finished runs from their logs of decisions."""
