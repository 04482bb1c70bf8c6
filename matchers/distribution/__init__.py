"""Methods that match distributions of features. May import `matchers.base` and `synth`."""
