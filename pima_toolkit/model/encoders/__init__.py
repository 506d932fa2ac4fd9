"""Networks from measurements to the latent space, and back."""
