"""What the learned part of the cost model is made of: a Gaussian process and trees, as arrays."""
