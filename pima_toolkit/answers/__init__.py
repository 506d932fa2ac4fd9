"""What comes out: inference, saved results, measures and plots."""
