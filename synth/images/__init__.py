"""Images: how a set stores them, their normalisation, augmentation and views."""
