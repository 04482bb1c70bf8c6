"""Methods that choose real examples."""
