"""Runs a method: the first set, the feeds of real data, the loop, and the cost of a step.

May import `data`, `nets`, `runtime`, and the packages `matchers`, `evals` and `synth`.
"""
