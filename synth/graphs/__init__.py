"""Graphs: how they are held, packed, refined and stored in a set. May import `numerics`, `base`, `options` and `errors`."""
