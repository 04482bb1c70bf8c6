"""Methods that match the trajectories of experts. May import `matchers.base` and `synth`."""
