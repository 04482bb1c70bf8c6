"""Files: written whole or not at all, and read without trust. May import every room of `synth` but `labelling` and `selection`."""
