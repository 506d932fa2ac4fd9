"""Checked measurements as tensors, in memory or read from disk in blocks."""
