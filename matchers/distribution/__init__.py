"""Methods that match distributions of features."""
