"""Methods from trained networks: they recover or compose images, then label them. May import `matchers.base` and `synth`."""
