"""Methods with a ridge regression in closed form inside. May import `matchers.base` and `synth`."""
