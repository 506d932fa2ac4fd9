"""Trust in answers: calibration, reliability, goodness of fit, cautions, and what to measure next."""
