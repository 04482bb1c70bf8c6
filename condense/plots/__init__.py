"""Pictures of sets. May import `data`, `nets` and `runtime`."""
