"""Scores of sets beside real examples. May import `teachers`, `experts` and what is below."""
