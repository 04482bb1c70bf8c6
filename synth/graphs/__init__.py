"""Graphs: how they are held, packed, refined and stored in a set."""
