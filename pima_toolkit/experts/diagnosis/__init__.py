"""What may be wrong with a fit of curves, looked for and drawn."""
