"""Training by evidence: physics by EM on own fits; networks and regressions believed as far as they are borne out."""
