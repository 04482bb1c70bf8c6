"""Side-by-side timings against PyTorch, run by hand: `python -m tests.bench --help` (needs the `bench` extra)."""
