"""Weighted least squares over many curves at once, and where it starts."""
