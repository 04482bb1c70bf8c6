"""Methods with a ridge regression in closed form inside."""
