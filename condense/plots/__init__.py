"""Pictures of sets. May import `data` and what is below, and `synth`."""
