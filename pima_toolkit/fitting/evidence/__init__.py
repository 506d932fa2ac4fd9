"""Training by evidence: the physics by EM on own fits, networks and regressors believed as far as they are borne out."""
