"""How the model is learned: tensors, closed-form EM, initialisation, training, cross-modal encoders."""
