"""A workbench for dataset distillation in JAX: distil a data set to a budget, score synthetic sets honestly, look at what was learned."""
