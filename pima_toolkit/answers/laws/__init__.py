"""The physics of each population: its curves, other laws beside it, quantities that follow."""
