"""What an author declares and a solver takes: parameters, bounds, inputs, an example."""
