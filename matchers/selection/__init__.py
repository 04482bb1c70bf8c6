"""Methods that choose real examples. May import `matchers.base` and `synth`."""
