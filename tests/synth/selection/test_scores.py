"""Scores: against brute force on a log that can be checked by hand, and against scikit-learn; what they refuse."""

import re

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestCentroid

from synth.errors import BadInput
from synth.selection.scores import SCORES, name_score, scores
from tests.support.toy_ranks import toy_ranks

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], 8))
# by hand: one network, five epochs, five examples
RIGHT = np.array([[0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 1, 1, 0], [1, 0, 1, 0, 0], [1, 0, 1, 1, 1]], np.uint8)[None]


def test_forgetting_counts_what_was_right_and_is_wrong_next():
    ranks = toy_ranks(np.zeros(5), networks=1, epochs=5, correct=RIGHT)
    np.testing.assert_array_equal(scores(ranks, "forgetting"), [1, 5, 0, 2, 1])  # the second is never learnt: as often as there are epochs
    np.testing.assert_array_equal(scores(ranks, "forgetting:never=easiest"), [1, 0, 0, 2, 1])
    brute = np.zeros(5)
    for epoch in range(4):
        for example in range(5):
            brute[example] += RIGHT[0, epoch, example] == 1 and RIGHT[0, epoch + 1, example] == 0
    np.testing.assert_array_equal(scores(ranks, "forgetting:never=easiest"), brute)


def test_forgetting_takes_the_mean_over_networks_each_by_its_own_convention():
    both = np.concatenate([RIGHT, np.ones_like(RIGHT)])
    found = scores(toy_ranks(np.zeros(5), epochs=5, correct=both), "forgetting")
    np.testing.assert_array_equal(found, [0.5, 2.5, 0, 1, 0.5])


def test_aum_is_the_mean_margin_of_logits_with_its_sign_changed():
    """All epochs count, not the last alone: the reset that a circulating version has would give the second line."""
    margin = np.array([[[4.0, -1.0], [2.0, 3.0], [0.0, -8.0]]], np.float32)
    ranks = toy_ranks([0, 1], networks=1, epochs=3, margin=margin)
    np.testing.assert_allclose(scores(ranks, "aum"), [-2, 2])
    np.testing.assert_allclose(scores(ranks, "margin"), [0, 8])
    np.testing.assert_allclose(scores(ranks, "margin:epoch=2"), [-2, -3])


def test_margins_of_probabilities_are_those_of_the_logits_by_brute_force():
    """From p_y and the margin of logits alone, also where an example is all but certain, right or wrong."""
    rng = np.random.default_rng(3)
    z = rng.normal(0, 4, (2, 3, len(LABELS), 5))
    z[:, :, 0, LABELS[0]], z[:, :, 1, LABELS[1]], z[:, :, 2, LABELS[2]] = -60.0, 60.0, -2000.0
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    one = np.eye(5, dtype=bool)[LABELS]
    largest = lambda values: np.where(one, -np.inf, values).max(-1)  # noqa: E731 (among the other classes)
    own = lambda values: values[..., np.arange(len(LABELS)), LABELS]  # noqa: E731
    fields = {"probability": own(p).astype(np.float32), "margin": (own(z) - largest(z)).astype(np.float32)}
    ranks, wanted = toy_ranks(LABELS, epochs=3, **fields), largest(p) - own(p)
    assert fields["probability"][0, 0, 2] == 0 < fields["probability"][0, 0, 0] < 1e-20
    wanted[:, :, 2] = 1  # p_y is lost there, and the class that leads counts as certain
    found = scores(ranks, "aum:of=probabilities"), scores(ranks, "max_margin:first=2,last=2,networks=1")
    np.testing.assert_allclose(found[0], wanted.mean((0, 1)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], wanted[0, 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores(ranks, "max_margin"), found[0], rtol=1e-6)
    assert (np.argsort(found[0]) != np.argsort(scores(ranks, "aum"))).any(), "of logits the order is another"


def test_tdds_is_the_sum_over_windows_of_its_definition():
    kl = np.array([[9, 9, 9], [1, 0, 2], [3, 0, 2], [2, 0, 5], [0, 0, 2]], np.float32)[None]  # the first is to an untrained network
    ranks, decay, last, window = toy_ranks(np.zeros(3), networks=1, epochs=5, divergence=kl), 0.9, 5, 3
    wanted = np.zeros(3)
    for example in range(3):
        for k in range(last - window + 1):
            steps = [float(kl[0, t - 1, example]) for t in range(k + 2, k + window + 1)]  # t counts epochs from 1
            mean = sum(steps) / len(steps)
            wanted[example] += decay * (1 - decay) ** (last - window - k) * sum((step - mean) ** 2 for step in steps) ** 0.5
    np.testing.assert_allclose(scores(ranks, "tdds:window=3"), wanted, rtol=1e-6)
    assert wanted[1] == 0 and wanted[0] != wanted[2]
    late, early = kl.copy(), kl.copy()
    late[0, 4, 1], early[0, 1, 1] = 1, 1
    found = [scores(toy_ranks(np.zeros(3), networks=1, epochs=5, divergence=one), "tdds:window=3")[1] for one in (late, early)]
    assert found[0] > 50 * found[1] > 0, "every window is its own, and the last counts most"


def test_means_over_networks_and_epochs():
    ranks = toy_ranks(LABELS)
    for name, field in (("el2n", "error"), ("grand", "full_gradient"), ("grand_last", "gradient")):
        values = ranks.read(field).astype(float)
        np.testing.assert_allclose(scores(ranks, name), values.mean((0, 1)), rtol=1e-6)
        np.testing.assert_allclose(scores(ranks, f"{name}:first=2,last=3"), values[:, 1:3].mean((0, 1)), rtol=1e-6)
        np.testing.assert_allclose(scores(ranks, f"{name}:first=2,last=2,networks=1"), values[0, 1], rtol=1e-6)
    p = ranks.read("probability").astype(float)
    np.testing.assert_allclose(scores(ranks, "l1"), (2 - 2 * p).mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(scores(ranks, "entropy"), ranks.read("entropy")[:, -1].astype(float).mean(0), rtol=1e-6)


def test_dyn_unc_and_dual_are_deviations_within_windows():
    ranks = toy_ranks(LABELS, epochs=5)
    p = ranks.read("probability").astype(float)
    for window in (2, 3):
        unc, dual = np.zeros(len(LABELS)), np.zeros(len(LABELS))
        starts = range(5 - window + 1)
        for network in p:
            for k in starts:
                part = network[k : k + window]
                mean = sum(part) / window
                std = np.sqrt(sum((one - mean) ** 2 for one in part) / (window - 1))
                unc, dual = unc + std / len(starts) / 2, dual + std * (1 - mean) / len(starts) / 2
        np.testing.assert_allclose(scores(ranks, f"dyn_unc:window={window}"), unc, rtol=1e-5)
        np.testing.assert_allclose(scores(ranks, f"dual:window={window}"), dual, rtol=1e-5)


def test_moderate_and_prototypicality_are_distances_that_scikit_learn_finds_too():
    ranks = toy_ranks(LABELS)
    embedding = ranks.embeddings()
    centres = NearestCentroid().fit(embedding, LABELS).centroids_
    np.testing.assert_allclose(scores(ranks, "moderate"), np.linalg.norm(embedding - centres[LABELS], axis=1), rtol=1e-4)
    means = KMeans(3, n_init=1, random_state=0).fit(embedding)
    np.testing.assert_allclose(scores(ranks, "prototypicality"), means.transform(embedding).min(1), rtol=1e-4)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_a_number_for_every_example_and_counts_low_for_easy(name):
    """An example that every network is sure of from the first epoch on is easier than one that they always get wrong."""
    labels, often = np.array([0, 0, 1, 1]), np.ones((2, 4, 1), np.float32)
    low, high = (
        np.concatenate([part * often, often * value], 2) for part, value in ((np.float32([0.1, 0.1, 0.1]), 1), (np.float32([1, 1, 1]), 0.1))
    )
    fields = {"error": low, "gradient": low, "full_gradient": low, "entropy": low, "divergence": low, "probability": high, "margin": high}
    fields["correct"] = (high > 0.5).astype(np.uint8)
    fields["embedding"] = np.float16([[0, 0], [0, 1], [5, 5], [5, 9]])
    if name in ("dyn_unc", "dual", "tdds", "prototypicality"):  # low for what is settled, or prototypical
        moving = 0.1 * np.arange(4, dtype=np.float32)[None, :, None] ** 2 * np.float32([0, 0, 0, 1])
        fields |= {"probability": np.repeat(moving, 2, 0), "divergence": np.repeat(moving, 2, 0)}
    ranks = toy_ranks(labels, width=2, **fields)
    found = scores(ranks, name)
    assert found.shape == (4,) and found.dtype == np.float32 and np.isfinite(found).all()
    assert name == "prototypicality" or found[3] > found[0], "the last example is the hard one"
    assert re.fullmatch(rf"{name}(:\w+=[\w.]+(,\w+=[\w.]+)*)?", name_score(name, ranks))


def test_the_full_name_states_networks_and_epochs():
    assert name_score("el2n", toy_ranks(LABELS)) == "el2n:first=1,last=4,networks=2"
    assert name_score("el2n:first=2,last=3", toy_ranks(LABELS, epochs=20)) == "el2n:first=2,last=3,networks=2"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("el2m", "unknown score 'el2m' \\(known: el2n, "),
        ("el2n:last=0", "last 0: give a whole number of at least 1"),
        ("el2n:first=5", "first 5: give at most 4"),
        ("el2n:networks=3", "networks 3: give at most 2"),
        ("el2n:speed=3", "has no option 'speed' \\(known: first, last, networks\\)"),
        ("margin:epoch=5", "epoch 5: give at most 4"),
        ("tdds:window=2", "window 2: give a whole number of at least 3"),
        ("forgetting:never=first", "never first: give one of hardest, easiest"),
        ("grand", "the log holds no full_gradient; rank with --full-gradient, or take another score"),
    ],
)
def test_a_score_that_cannot_be_read_is_refused_in_one_line(by, words):
    with pytest.raises(BadInput, match=f"--by {by}: {words}"):
        scores(toy_ranks(LABELS, full=False), by)


def test_a_log_that_is_too_short_is_refused():
    with pytest.raises(BadInput, match="--by tdds: needs 3 epochs, and the log has 2; rank with more --epochs, or take another score"):
        scores(toy_ranks(LABELS, epochs=2), "tdds")
