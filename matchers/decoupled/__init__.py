"""Methods from trained networks: recover or compose images, then label them."""
