"""Several tests of one material: one set of parameters for all, and whether they contradict each other."""
