"""The inputs that a method's factory may ask for, one in each file. An input is found, or made in the run's folder.

May import `evaluation` and what is below.
"""
