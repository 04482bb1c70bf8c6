"""The inputs that a factory may ask for by a parameter's name."""

EXPERTS = "folder of `condense experts`; by default a few small ones are trained in OUT/experts"
TEACHER = "folder of a self-supervised teacher of `condense teachers --ssl barlow`; by default one is trained in OUT/teacher"
TEACHERS = "committee of `condense teachers`; by default one is made in the run's folder"
