"""Supports a run: its folder, checkpoints, log, devices and interruptions. May import `synth` alone."""
