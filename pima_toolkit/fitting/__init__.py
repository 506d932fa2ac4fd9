"""Learning the model: tensors, closed-form EM, starts, training, encoders of single modalities."""
