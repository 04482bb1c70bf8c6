"""What runs a method: how a set starts, its feeds, the loop, and what a step takes.

May import `data`, `nets`, `runtime`, and the packages `matchers`, `evals` and `synth`.
"""
