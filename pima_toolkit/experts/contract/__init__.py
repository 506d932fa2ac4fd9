"""The contract between authors and solvers: parameters, bounds, inputs, an example, and the law that has them."""
