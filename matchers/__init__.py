"""Distillation methods, one a file, named by the paper's name. `REGISTRY` holds one line a method."""

from matchers.colour import colour
from matchers.dc import dc
from matchers.dm import dm
from matchers.doscond import doscond
from matchers.dsa import dsa
from matchers.herding import herding
from matchers.kmeans import kmeans
from matchers.mirage import mirage
from matchers.random import random

REGISTRY = {
    "random": random,
    "kmeans": kmeans,
    "herding": herding,
    "dc": dc,
    "dsa": dsa,
    "dm": dm,
    "mirage": mirage,
    "colour": colour,
    "doscond": doscond,
}
OF_GRAPHS = ("random", "mirage", "colour", "doscond")  # what takes graphs; all but `random` take nothing else
