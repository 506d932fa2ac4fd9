"""Starts of a training: from the physics, from the invariance of pictures, or at random."""
