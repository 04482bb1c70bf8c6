"""What a method's factory may ask for, one file each: found, or made in the run's folder.

May import `evaluation` and what is below.
"""
