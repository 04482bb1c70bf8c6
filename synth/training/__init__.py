"""Training loops, optimisers, ridge regression and statistics of networks. May import `labels`, `images`, `graphs` and what is below."""
