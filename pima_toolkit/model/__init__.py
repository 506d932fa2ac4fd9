"""The forward computation: encoders, fusion, mixture prior, decoders and the ELBO. Forward only: no loop, no files."""
