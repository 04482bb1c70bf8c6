"""Ranks: proxies are trained on the training examples, and what they say of every one after each epoch is logged.

May import `teachers`, `engine`, `data`, `nets`, `runtime` and the packages below.
"""
