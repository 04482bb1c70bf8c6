"""Data: a specification becomes rows to train and score on. May import networks' neighbours in `runtime`, and the packages below."""
