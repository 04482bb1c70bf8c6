"""Curriculum selection: the images that rounds choose against brute force, by filters that are trained again by hand; refusals; resume."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matchers.base import Unread
from matchers.selection.ccfs import ccfs, easiest_wrong
from synth.base import Examples
from synth.errors import BadInput
from synth.labels.plain import Soft
from synth.set import SyntheticSet
from synth.training.fit import train_on
from tests.support.factories import complete_options
from tests.support.toy_data import as_set, blobs, smooth_net
from tests.support.toy_ranks import toy_ranks
from tests.support.toy_teachers import task

KEY, CLASSES, N = jax.random.key(4), 3, 12


def by_brute_force(score, y, wrong, free, count: int) -> list[list[int]]:
    """The best of all choices of `count` free examples of each class: most wrong ones first, then the least of the sorted scores."""

    def worth(choice):
        hit, missed = (sorted(score[i] for i in choice if wrong[i] == side) for side in (False, True))
        return len(hit), missed, hit

    found = []
    for c in range(CLASSES):
        members = [i for i in range(len(y)) if y[i] == c and free[i]]
        choices = [set(choice) for choice in product(members, repeat=count) if len(set(choice)) == count]
        found.append(sorted(min(choices, key=worth)))
    return found


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_a_round_takes_the_easiest_wrong_ones_of_every_class(share):
    """Where few are wrong the others fill up; scores are all different, so that one choice is the best."""
    rng = np.random.default_rng(int(10 * share))
    y = rng.permutation(np.repeat(np.arange(CLASSES), 6))
    score, wrong, free = rng.permutation(18).astype(np.float32), rng.random(18) < share, rng.random(18) < 0.8
    chosen = easiest_wrong(score, y, wrong, free, CLASSES, 3)
    assert [sorted(row) for row in chosen.tolist()] == by_brute_force(score, y, wrong, free, 3)
    assert (y[chosen] == np.arange(CLASSES)[:, None]).all() and free[chosen].all()


def test_equal_scores_go_to_the_example_that_comes_first():
    y, ones = np.repeat(np.arange(CLASSES), 4), np.ones(12, bool)
    np.testing.assert_array_equal(easiest_wrong(np.zeros(12, np.float32), y, ones, ones, CLASSES, 2), [[0, 1], [4, 5], [8, 9]])


class Hand:
    """A small problem: overlapping classes, a set of three noise images a class, a log of random scores."""

    def __init__(self, **options):
        rng = np.random.default_rng(1)
        overlapping = blobs(N)
        self.examples = Examples((overlapping.x + 2 * rng.normal(size=overlapping.x.shape)).astype(np.float32), overlapping.y)
        given = Examples(rng.normal(size=(9, 4, 4, 1)).astype(np.float32), np.repeat(np.arange(CLASSES), 3).astype(np.int32))
        self.net, self.ranks, self.given = smooth_net(), toy_ranks(self.examples.y), as_set(given)
        self.options = {"by": "aum", "epochs": 3, **options}

    def run(self, ipc: int, *, given=None, run=None) -> SyntheticSet:
        matcher = ccfs(self.net, self.ranks, given or self.given, run or task(), **self.options)
        first = as_set(Examples(np.zeros((CLASSES * ipc, 4, 4, 1), np.float32), np.repeat(np.arange(CLASSES, dtype=np.int32), ipc)))
        return matcher.step(KEY, (), first, self.examples)[0]

    def by_hand(self, ipc: int, kept: int, counts: list[int]) -> np.ndarray:
        """The set: `kept` given images of a class, then round after round the lowest scores of those that a filter gets wrong."""
        score = -np.asarray(self.ranks.read("margin"), np.float64).mean((0, 1))
        images, chosen = np.asarray(self.given.x.pixels).reshape(CLASSES, 3, 4, 4, 1)[:, :kept], [[] for _ in range(CLASSES)]

        def now():
            return np.concatenate([[*images[c], *self.examples.x[chosen[c]]] for c in range(CLASSES)]).astype(np.float32)

        for number, count in enumerate(counts):
            labels = np.repeat(np.arange(CLASSES, dtype=np.int32), len(now()) // CLASSES)
            vars = train_on(jax.random.fold_in(KEY, number), self.net, now(), labels, CLASSES, epochs=3)
            said = np.asarray(self.net.apply(vars, jnp.asarray(self.examples.x)).logits).argmax(1)
            assert 0.1 < (said != self.examples.y).mean() < 0.9, "the filter is right and wrong"
            for c in range(CLASSES):
                free = [i for i in range(len(said)) if self.examples.y[i] == c and i not in chosen[c]]
                chosen[c] += sorted(free, key=lambda i: (said[i] == self.examples.y[i], score[i]))[:count]
        assert all(len(set(rows)) == ipc - kept for rows in chosen), "none is taken twice"
        return now()


@pytest.mark.parametrize(("share", "kept", "counts"), [(0.2, 1, [2, 2, 1]), (0.5, 3, [1, 1, 1])])
def test_rounds_choose_as_filters_trained_by_hand_say(share, kept, counts):
    hand = Hand(share=share)
    synth = hand.run(6)
    np.testing.assert_array_equal(synth.x.pixels, hand.by_hand(6, kept, counts))
    assert synth.y.index.tolist() == np.repeat(np.arange(CLASSES), 6).tolist()


def test_one_round_is_a_choice_at_once():
    rounds, once = Hand().run(6), Hand(rounds=1)
    np.testing.assert_array_equal(once.run(6).x.pixels, once.by_hand(6, 1, [5]))
    assert (np.asarray(rounds.x.pixels) != np.asarray(once.run(6).x.pixels)).any()


def test_soft_labels_of_the_set_count_as_their_most_probable_class():
    hand = Hand()
    order = np.random.default_rng(0).permutation(9)
    logits = 3 * np.eye(CLASSES, dtype=np.float32)[np.repeat(np.arange(CLASSES), 3)][order] + 0.1
    mixed = SyntheticSet(hand.given.x._replace(pixels=hand.given.x.pixels[order]), Soft(jnp.asarray(logits)))
    shown = np.asarray(hand.run(4, given=mixed).x.pixels).reshape(CLASSES, 4, 4, 4, 1)[:, 0]
    firsts = [np.asarray(hand.given.x.pixels)[next(i for i in order if i // 3 == c)] for c in range(CLASSES)]
    np.testing.assert_array_equal(shown, firsts)


class Kept:
    """Keeps rounds in memory, as a run's folder does, and stops a run after one of them."""

    def __init__(self, stop: int | None = None):
        self.done, self.stop, self.requests = None, stop, []

    def __call__(self, request, parts):
        self.requests.append((request, parts))
        return self

    def tick(self, done, rows):
        self.done = done, rows.copy()
        if done == self.stop:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_run_goes_on_from_its_last_round_to_the_same_bits(stop, monkeypatch):
    """Of four real images of a class, two of the first round; a folder gives zeros for the rounds to come."""
    hand, trained, kept = Hand(), [], Kept(stop)
    whole = hand.run(5)
    np.testing.assert_array_equal(whole.x.pixels, hand.by_hand(5, 1, [2, 1, 1]))
    with pytest.raises(KeyboardInterrupt):
        hand.run(5, run=task()._replace(keep=kept))
    kept.done[1][stop:] = 0
    monkeypatch.setattr("matchers.selection.ccfs.train_on", lambda *args, **more: trained.append(0) or train_on(*args, **more))
    resumed = hand.run(5, run=task()._replace(keep=kept))
    np.testing.assert_array_equal(resumed.x.pixels, whole.x.pixels)
    assert len(trained) == 3 - stop and kept.requests[0] == kept.requests[1] and kept.requests[0][1] == 3
    other = Kept()
    Hand(epochs=2).run(5, run=task()._replace(keep=other))
    assert other.requests[0] != kept.requests[0]


@pytest.mark.parametrize(
    ("options", "ipc", "words"),
    [
        ({}, 1, "--ipc 1: 1 distilled of a class leave no room for real ones"),
        ({"share": 1.0}, 3, "--ipc 3: 3 distilled of a class leave no room"),
        ({"share": 0.5}, 8, "--distilled: the set has 3 images of class 0, and 4 of each are taken; give a larger set"),
        ({"share": 0.1}, 14, "--ipc 14: 13 real images of every class are taken, and the smallest has 12"),
        ({"by": "el2m"}, 4, "--by"),
    ],
)
def test_what_cannot_be_filled_is_refused(options, ipc, words):
    with pytest.raises(BadInput, match=words):
        Hand(**options).run(ipc)


def test_it_reads_the_training_split_and_makes_its_own_start():
    hand = Hand()
    matcher = ccfs(hand.net, hand.ranks, hand.given, task())
    assert matcher.feed == Unread() and matcher.own_start == "" and matcher.host(None) == 3
    assert complete_options("ccfs", {}) == {"share": 0.2, "rounds": 3, "by": "forgetting", "epochs": 100, "net_lr": 0.01}
