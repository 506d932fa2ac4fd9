"""The M-step: additive float64 statistics of the specimens, and the parameters that follow."""
