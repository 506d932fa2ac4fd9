"""Formulas: text is read, compiled to values and derivatives, and never executed."""
