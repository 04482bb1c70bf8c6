"""What a network costs: one file and one registry entry, which is text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import distill, evaluate, list_nets, nets
from condense.__main__ import run as command
from condense.nets.registry import NETS, Network
from synth.errors import BadInput
from synth.graphs.base import Alphabet

SUMS = Network("sums", "tests.support.toy_net:sums", "Sums: rows and columns of an image, added up, then two linear layers.")
IMAGE, CLASSES = (8, 8, 1), 10


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The toy network: the one line that a new network costs beside its file."""
    monkeypatch.setitem(NETS, SUMS.name, SUMS)


def test_a_network_of_two_files_is_built_by_name_with_its_options():
    assert nets.canonical("sums") == "sums:width=8" and nets.canonical("sums:width=3") == "sums:width=3"
    net = nets.build("sums:width=3", IMAGE, CLASSES)
    assert nets.count(net) == 16 * 3 + 3 + 3 * CLASSES + CLASSES
    vars, x = net.init(jax.random.key(1)), jax.random.normal(jax.random.key(2), (5, *IMAGE))
    out, (hidden, head) = net.apply(vars, x), (vars.params["hidden"], vars.params["head"])
    sums = np.concatenate([np.asarray(x).sum(1)[..., 0], np.asarray(x).sum(2)[..., 0]], 1)
    embed = np.tanh(sums @ np.asarray(hidden["kernel"]) + np.asarray(hidden["bias"]))
    np.testing.assert_allclose(out.embed, embed, atol=1e-5)
    np.testing.assert_allclose(out.logits, embed @ np.asarray(head["kernel"]) + np.asarray(head["bias"]), atol=1e-5)
    assert jnp.isfinite(jax.grad(lambda x: net.apply(vars, x).logits.sum())(x)).all()


def test_the_lists_and_the_refusals_know_it(capsys):
    assert list_nets()["sums"] == SUMS.summary
    assert command(["list", "nets"]) == 0 and "sums" in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"--net sums:depth=2: unknown option 'depth' of sums \(known: width\)"):
        nets.parse("sums:depth=2")
    with pytest.raises(BadInput, match="--net sums:width=a: width must be a whole number of at least 1"):
        nets.parse("sums:width=a")
    with pytest.raises(BadInput, match="--net sums: the data are graphs, and sums does not take them; use one of gat, gcn, gin, sage"):
        nets.build("sums", Alphabet(3), 2)
    with pytest.raises(BadInput, match=r"unknown network 'nets' .*sums"):
        nets.parse("nets")


@pytest.mark.slow
def test_a_method_matches_with_it_and_an_evaluation_scores_by_it():
    synth = distill("dm", "digits", ipc=1, net="sums:width=3", steps=2, batch=4)
    assert synth.info.net == "sums:width=3"
    (report,) = evaluate(synth, recipe="quick", epochs=1, seeds=1, rows="distilled").reports
    assert report.net == "sums:width=3"
