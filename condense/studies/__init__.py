"""Studies of many runs: suites of methods, data and budgets, and comparisons of what they gave.

May import `workflows` and what is below, and the packages `matchers`, `evals` and `synth`.
"""
