"""Plain regressors from measurements without physics to what curves say: population, and deviation from it."""
