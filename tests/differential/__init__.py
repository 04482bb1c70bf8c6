"""Steps of the methods beside second writings of them in PyTorch, from the formulae of papers and releases."""
