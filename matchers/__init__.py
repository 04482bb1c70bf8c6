"""Distillation methods, one a file, named by the paper's name. `REGISTRY` holds one line a method."""

from matchers.ast import ast
from matchers.colour import colour
from matchers.datm import datm
from matchers.dc import dc
from matchers.dm import dm
from matchers.doscond import doscond
from matchers.dsa import dsa
from matchers.frepo import frepo
from matchers.ftd import ftd
from matchers.herding import herding
from matchers.kip import kip
from matchers.kmeans import kmeans
from matchers.krrst import krrst
from matchers.mirage import mirage
from matchers.mtt import mtt
from matchers.random import random

REGISTRY = {
    "random": random,
    "kmeans": kmeans,
    "herding": herding,
    "dc": dc,
    "dsa": dsa,
    "dm": dm,
    "mtt": mtt,
    "ftd": ftd,
    "ast": ast,
    "datm": datm,
    "kip": kip,
    "frepo": frepo,
    "krrst": krrst,
    "mirage": mirage,
    "colour": colour,
    "doscond": doscond,
}
OF_GRAPHS = ("random", "mirage", "colour", "doscond")  # what takes graphs; all but `random` take nothing else
