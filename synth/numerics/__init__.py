"""Numerics on PyTrees, and choices that depend on the backend. May import `synth.errors` alone."""
