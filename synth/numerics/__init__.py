"""Numbers: PyTrees, and what depends on the backend."""
