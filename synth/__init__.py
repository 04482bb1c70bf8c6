"""The vocabulary at the bottom: networks as values, synthetic sets, labels, files, augmentation and the training loop.

May import no other package of this project.
"""
