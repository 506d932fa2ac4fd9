"""Answers of a fit, as labelled tables with units: inference, generation, laws, and how far to trust them."""
