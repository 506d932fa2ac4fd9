"""Effects on the parameters of a specimen: its latent position."""
