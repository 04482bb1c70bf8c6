"""Distillation methods, one a file, named by the paper's name. `REGISTRY` holds one line a method."""

from matchers.decoupled.cvdd import cvdd
from matchers.decoupled.infer import infer
from matchers.decoupled.nrr import nrr
from matchers.decoupled.rded import rded
from matchers.decoupled.sre2l import sre2l
from matchers.distribution.dm import dm
from matchers.gradient.dc import dc
from matchers.gradient.dsa import dsa
from matchers.graphs.colour import colour
from matchers.graphs.doscond import doscond
from matchers.graphs.mirage import mirage
from matchers.kernel.frepo import frepo
from matchers.kernel.kip import kip
from matchers.kernel.krrst import krrst
from matchers.selection.herding import herding
from matchers.selection.kmeans import kmeans
from matchers.selection.random import random
from matchers.trajectory.ast import ast
from matchers.trajectory.datm import datm
from matchers.trajectory.ftd import ftd
from matchers.trajectory.mtt import mtt

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
