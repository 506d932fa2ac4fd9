"""Where training starts: from the physics, from the invariance of pictures, or at random."""
