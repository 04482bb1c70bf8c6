"""Methods that match gradients. May import `matchers.base` and `synth`."""
