"""The detailed-results page: one HTML file without remote assets."""
