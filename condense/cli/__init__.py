"""The verbs of the command line, one a file: `RECORD`, the dataclass of its flags (None where a verb reads its own), and `act`.

May import every other room of `condense`.

What takes long to import is imported inside `act`, so that help and lists come at once.
"""
