"""Distillation methods, one a file, named by the paper's name. `REGISTRY` holds one line a method."""

from matchers.ast import ast
from matchers.colour import colour
from matchers.cvdd import cvdd
from matchers.datm import datm
from matchers.dc import dc
from matchers.dm import dm
from matchers.doscond import doscond
from matchers.dsa import dsa
from matchers.frepo import frepo
from matchers.ftd import ftd
from matchers.herding import herding
from matchers.infer import infer
from matchers.kip import kip
from matchers.kmeans import kmeans
from matchers.krrst import krrst
from matchers.mirage import mirage
from matchers.mtt import mtt
from matchers.nrr import nrr
from matchers.random import random
from matchers.rded import rded
from matchers.sre2l import sre2l

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
    "sre2l": sre2l,
    "cvdd": cvdd,
    "infer": infer,
    "nrr": nrr,
    "rded": rded,
    "mirage": mirage,
    "colour": colour,
    "doscond": doscond,
}
OF_GRAPHS = ("random", "mirage", "colour", "doscond")  # what takes graphs; all but `random` take nothing else
