"""How far an answer can be believed, and what to measure next."""
