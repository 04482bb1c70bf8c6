"""Numbers: PyTrees, and what depends on the backend. May import `synth.errors` alone."""
