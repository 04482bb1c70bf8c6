"""`python -m tests.bench`; worker processes import `bench`, which they could not do with this module."""

from tests.bench.runner import main

if __name__ == "__main__":
    main()
