"""How measurements scatter about the model: noise models of curves, and of what networks reconstruct."""
