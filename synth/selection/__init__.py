"""Which real examples a set starts from, or is compared with."""
