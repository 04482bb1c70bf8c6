"""Readers, one source a file: a place becomes raw data, and nothing in it is trusted."""
