"""Methods for graphs. May import `matchers.base` and `synth`."""
