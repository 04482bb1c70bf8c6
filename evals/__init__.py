"""Scores of synthetic sets: fresh networks retrained on them, under recipes that belong to the evaluator.

May import `synth` alone.
"""
