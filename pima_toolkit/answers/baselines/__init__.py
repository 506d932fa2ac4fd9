"""Simple methods on held-out specimens, beside which any prediction has to stand."""
