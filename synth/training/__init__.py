"""Training loops, optimisers, ridge regression and statistics of networks."""
