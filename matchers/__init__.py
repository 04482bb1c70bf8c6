"""Distillation methods, one a file, named by the paper's name. `REGISTRY` holds one line a method."""

from matchers.dc import dc
from matchers.dm import dm
from matchers.dsa import dsa
from matchers.frepo import frepo
from matchers.herding import herding
from matchers.kip import kip
from matchers.kmeans import kmeans
from matchers.krrst import krrst
from matchers.random import random

REGISTRY = {
    "random": random,
    "kmeans": kmeans,
    "herding": herding,
    "dc": dc,
    "dsa": dsa,
    "dm": dm,
    "kip": kip,
    "frepo": frepo,
    "krrst": krrst,
}
