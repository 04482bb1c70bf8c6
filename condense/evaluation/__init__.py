"""Scores sets, and real examples for comparison. May import `teachers`, `experts` and what is below."""
