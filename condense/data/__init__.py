"""Data: a specification becomes rows to train and score on. May import `nets`, `runtime`, `matchers`, `evals` and `synth`."""
