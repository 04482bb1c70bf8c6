"""Reports of runs and suites as one HTML file. May import `studies` and what is below, and the packages."""
