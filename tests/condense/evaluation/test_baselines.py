"""The real images that stand beside a set: fresh for every seed, from train alone, as many of every class as the set holds."""

from collections import Counter
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.evaluation.baselines import make_rows, ranks_facts
from condense.evaluation.counts import class_counts
from condense.workflows.evaluate import evaluate
from synth.base import take_all
from synth.errors import BadInput
from synth.labels.plain import Soft
from synth.selection.scores import scores
from synth.set import Info
from tests.support.three_classes import make_set, rows_of, three_classes
from tests.support.toy_ranks import toy_ranks, write_ranks


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


def drawn_rows(data, synth, kinds=("random", "kmeans", "full"), seeds=5, **more):
    draws = make_rows(jax.random.key(3), synth, data, kinds, **more)
    return {kind: [draw(seed) for seed in range(seeds)] for kind, draw in draws.items()}


@pytest.mark.parametrize("counts", [(2, 2, 2), (3, 1, 0), (1, 5, 4)])
def test_baselines_are_fresh_real_training_images_at_the_sets_budget(data, counts):
    train = {row: y for row, y in zip(rows_of(take_all(data.train).x), data.train.y.tolist(), strict=True)}
    barred = {*rows_of(take_all(data.val).x), *rows_of(take_all(data.test).x)}
    assert len(train) == len(data.train.y) and not barred & train.keys() and len(data.val.y) == 12
    rows = drawn_rows(data, make_set(data, counts))
    for kind in ("random", "kmeans"):
        for synth in rows[kind]:
            shown = rows_of(synth.x.pixels)
            assert len(set(shown)) == len(shown) == sum(counts) and set(shown) <= train.keys()
            assert [train[row] for row in shown] == synth.y.index.tolist()
            held = Counter(synth.y.index.tolist())
            assert [held[c] for c in range(3)] == list(counts)
    assert len({tuple(sorted(rows_of(synth.x.pixels))) for synth in rows["random"]}) == 5  # a draw of its own for every seed
    again = drawn_rows(data, make_set(data, counts), seeds=2)
    np.testing.assert_array_equal(again["random"][1].x.pixels, rows["random"][1].x.pixels)
    assert sorted(rows_of(rows["full"][0].x.pixels)) == sorted(train)


def test_random_collages_show_four_times_as_many_images(data):
    """As many collages of every class as the set has images; each shows four training images of it, all different, downsized whole."""
    rows = drawn_rows(data, make_set(data, (3, 1, 0)), kinds=("random_2x2",), seeds=3)["random_2x2"]
    real = take_all(data.train)
    small = np.asarray(jax.image.resize(real.x, (len(real.y), 2, 2, 1), "bilinear"))[..., 0]
    for synth in rows:
        assert synth.cells == 2 and synth.x.pixels.shape == (4, 4, 4, 1) and synth.y.index.tolist() == [0, 0, 0, 1]
        cells = np.asarray(synth.x.pixels).reshape(4, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(16, 2, 2)
        gaps = np.abs(cells[:, None] - small[None]).max((2, 3))
        shown = gaps.argmin(1)
        assert gaps.min(1).max() < 1e-5 and len(set(shown)) == 16
        assert real.y[shown].tolist() == np.repeat(synth.y.index, 4).tolist()
    assert len({synth.x.pixels.tobytes() for synth in map(jax.device_get, rows)}) == 3


def test_collages_that_the_data_cannot_fill_are_refused(data):
    with pytest.raises(BadInput, match=r"--rows random_2x2: .* has 27 training images of class bee, its collages 28 "):
        make_rows(jax.random.key(0), make_set(data, (1, 7, 1)), data, ("random_2x2",))


@pytest.mark.parametrize("counts", [(2, 2, 2), (3, 1, 0)])
def test_easy_and_hard_are_the_ends_of_the_scores_and_herding_follows_the_mean_of_pixels(data, counts):
    """Of every class as many as the set has; the same for every seed."""
    ranks, train, y = toy_ranks(data.train.y), take_all(data.train).x, data.train.y
    rows = drawn_rows(data, make_set(data, counts), ("easy", "hard", "herding"), seeds=2, ranks=ranks)
    score = scores(ranks, "el2n")
    for kind, sign in (("easy", 1), ("hard", -1)):
        wanted = [row for c in range(3) for row in np.flatnonzero(y == c)[np.argsort(sign * score[y == c], kind="stable")[: counts[c]]]]
        for synth in rows[kind]:
            assert sorted(rows_of(synth.x.pixels)) == sorted(rows_of(train[np.array(wanted)]))
            assert np.bincount(synth.y.index, minlength=3).tolist() == list(counts)
    of_first = train[y == 0].reshape(int((y == 0).sum()), -1).astype(float)
    nearest = of_first[np.square(of_first - of_first.mean(0)).sum(1).argmin()]
    shown = np.asarray(rows["herding"][0].x.pixels)[np.asarray(rows["herding"][0].y.index) == 0].reshape(counts[0], -1)
    assert any(np.allclose(one, nearest) for one in shown)
    np.testing.assert_array_equal(rows["herding"][0].x.pixels, rows["herding"][1].x.pixels)


def test_noise_is_no_image_of_the_data_and_is_drawn_anew(data):
    rows = drawn_rows(data, make_set(data, (3, 1, 0)), ("noise",), seeds=2)["noise"]
    first, second = (np.asarray(synth.x.pixels) for synth in rows)
    assert rows[0].y.index.tolist() == [0, 0, 0, 1] and (first != second).any() and first.shape == (4, *data.image)
    assert abs(first.mean()) < 0.2 and 0.8 < first.std() < 1.2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rows": "easy"}, "--rows easy: is chosen by the log of proxies; give --ranks DIR, which `condense rank` makes of this data"),
        ({"rows": "random", "ranks": "there"}, "--ranks there: no row reads it; add easy or hard to --rows, or leave it out"),
        ({"rows": "hard", "ranks": "nowhere"}, "--ranks nowhere: no ranks\\.json there; "),
    ],
)
def test_rows_by_score_need_a_log_and_other_rows_refuse_one(data, more, words):
    synth = replace(make_set(data), info=Info(data.classes, data.preprocess))
    with pytest.raises(BadInput, match=words):
        evaluate(synth, data=data, net="mlp:width=2", seeds=1, cache="none", **more)


@pytest.mark.parametrize("regimes", [None, "hard"])
def test_rows_by_score_name_it_in_full(data, tmp_path, regimes):
    """Under label regimes too."""
    (tmp_path / "ranks").mkdir()
    write_ranks(tmp_path / "ranks", toy_ranks(data.train.y, digest=data.digest))
    way = {"net": "mlp:width=2", "seeds": 1, "recipe": "quick", "epochs": 1, "rows": ("random", "easy", "hard"), "regimes": regimes}
    result = evaluate(make_set(data), data=data, cache="none", ranks=tmp_path / "ranks", **way)
    named = "el2n:first=1,last=4,networks=2"
    assert [row.get("score") for row in result.as_json()["results"]] == [None, named, named]
    assert f"easy and hard by {named}" in result.title([""])


def test_a_cell_of_a_row_by_score_is_of_one_log_alone(data):
    one, other = toy_ranks(data.train.y), toy_ranks(data.train.y, epochs=3)
    assert ranks_facts(one) == ranks_facts(toy_ranks(data.train.y)) != ranks_facts(other)
    assert ranks_facts(one)["by"] == "el2n:first=1,last=4,networks=2"


def test_kmeans_draws_anew_and_uses_as_many_centres_as_a_class_has_images(data):
    """One centre is the mean: a class of one image shows the real one nearest to its class mean, whatever the other classes hold."""
    rows = drawn_rows(data, make_set(data, (1, 6, 3)), kinds=("kmeans",))["kmeans"]
    members = take_all(data.train).x[data.train.y == 0]
    nearest = members[np.square(members - members.mean(0)).sum((1, 2, 3)).argmin()]
    for synth in rows:
        np.testing.assert_array_equal(np.asarray(synth.x.pixels)[synth.y.index.tolist().index(0)], nearest)
    assert len({tuple(sorted(rows_of(synth.x.pixels))) for synth in rows}) > 1


def test_kmeans_among_many_images_has_a_bar_of_its_classes(data, monkeypatch, capsys):
    drawn_rows(data, make_set(data, (2, 2, 1)), kinds=("kmeans",), seeds=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("condense.evaluation.baselines.LONG", 100)
    drawn_rows(data, make_set(data, (2, 2, 1)), kinds=("kmeans",), seeds=1)
    assert [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()] == [f"k-means among 108 images {n}/{n}" for n in (1, 2)]


def test_random_draws_are_uniform_over_the_class(data):
    """Chi-square over 27 training images of class 1 in 540 draws; 54.05 is the 0.999 quantile with 26 degrees of freedom."""
    draw = make_rows(jax.random.key(0), make_set(data, (0, 1, 0)), data, ("random",))["random"]
    place = {row: i for i, row in enumerate(rows_of(take_all(data.train).x[data.train.y == 1]))}
    assert len(place) == 27
    seen = np.bincount([place[rows_of(draw(seed).x.pixels)[0]] for seed in range(540)], minlength=27)
    assert ((seen - 20) ** 2 / 20).sum() < 54.05


def test_soft_labels_count_for_their_most_probable_class(data):
    synth = replace(make_set(data), y=Soft(jnp.asarray([[2, 0, 1], [5, 0, 0], [0, 3, 2], [0, 1, 0], [0, 0, 1], [9, 0, 8]], jnp.float32)))
    assert class_counts(synth).tolist() == [3, 2, 1]
    assert Counter(drawn_rows(data, synth, ("random",), 1)["random"][0].y.index.tolist()) == {0: 3, 1: 2, 2: 1}


def test_memory_does_not_grow_with_the_seeds(data):
    """Bytes of all live arrays while nobody holds a draw: those of one set, after two draws as after twenty."""

    def labelled(real):
        return replace(real, y=Soft(jnp.zeros((len(real), 3))))

    draw = make_rows(jax.random.key(0), make_set(data), data, ("random",), labels=labelled)["random"]

    def held_after(seeds):
        for seed in range(seeds):
            draw(seed)
        return sum(array.nbytes for array in jax.live_arrays())

    few = held_after(2)
    assert held_after(20) <= few + 64
