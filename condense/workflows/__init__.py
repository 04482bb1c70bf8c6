"""The four workflows, from the call to the result: distil, evaluate, relabel, transfer. May import every room but the command line."""
