"""Chooses the real examples that a set starts from or is compared with. May import every room of `synth` but `labelling`."""
