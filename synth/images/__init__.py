"""Images: how a set stores them, their normalisation, augmentation and views. May import `numerics`, `base`, `options` and `errors`."""
