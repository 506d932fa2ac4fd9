"""The model, the fit, and what is done with several of them."""
