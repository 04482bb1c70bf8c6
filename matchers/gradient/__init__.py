"""Methods that match gradients."""
