"""The ground of a run: its folder, checkpoints, log, devices and interruptions. Imports nothing else of `condense`."""
