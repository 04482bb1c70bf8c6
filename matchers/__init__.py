"""Distillation methods, one a file, named by the paper's name. `REGISTRY` holds one line a method."""
