"""Data: a specification becomes rows to train and score on. May import `nets`, `runtime` and `synth`, not `matchers` or `evals`."""
