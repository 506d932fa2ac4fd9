"""What moves the parameters of a population: the latent position."""
