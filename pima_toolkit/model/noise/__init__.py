"""Noise of measurements about the model: of curves, and of what networks reconstruct."""
