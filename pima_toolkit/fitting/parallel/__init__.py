"""Training on several processes: restarts side by side, or one training shared out."""
