"""The feeds of trajectories, pieces and stages: which experts, which epochs, which numbers."""

import jax
import numpy as np
import pytest

from condense.engine.feeds import make_feed, on_line, start_bound
from condense.runtime import devices as mesh
from matchers.base import PerClass, Piece, Segment, Stages
from synth.base import Examples
from synth.errors import BadInput

NOTHING = Examples(np.zeros((0, 1, 1, 1), np.float32), np.zeros(0, np.int32))


class Numbered:
    """Trajectories whose numbers say whose they are: 1000 expert + epoch, plus a tenth of the parameter's place."""

    def __init__(self, count: int = 5, epochs: int = 8):
        self.count, self.epochs, self.ends, self.reads = count, epochs, False, []

    def read(self, expert, epochs):
        assert 0 <= expert < self.count and all(0 <= epoch <= self.epochs for epoch in epochs)
        self.reads.append(list(epochs))
        rows = 1000 * expert + np.asarray(epochs, np.float32)[:, None] + np.arange(3, dtype=np.float32)[None, :] / 10
        return rows.astype(np.float32)


def feed(request: Segment, *, experts=None, seed: int = 0):
    return make_feed(request, NOTHING, 3, seed=seed, experts=experts or Numbered())


def parts(piece: Piece) -> tuple[int, int, list[int]]:
    """Expert, start epoch, target epochs, as the numbers themselves say."""
    expert, start = divmod(int(piece.start[0]), 1000)
    assert all(int(row[0]) // 1000 == expert for row in piece.targets)
    return expert, start, [int(row[0]) % 1000 for row in piece.targets]


@pytest.mark.parametrize("every", [False, True])
def test_a_piece_holds_the_start_and_the_epochs_it_is_matched_with(every):
    make = feed(Segment(3, 1, 4, every=every))
    for step in range(60):
        piece = make(step)
        expert, start, targets = parts(piece)
        assert int(piece.epoch) == start and targets == ([start + 1, start + 2, start + 3] if every else [start + 3])
        np.testing.assert_array_equal(
            piece.start, np.float32([1000 * expert + start, 1000 * expert + start + 0.1, 1000 * expert + start + 0.2])
        )
        assert (piece.start.shape, piece.targets.shape) == ((3,), (len(targets), 3))
        assert (piece.start.dtype, piece.targets.dtype, piece.epoch.dtype) == (np.float32, np.float32, np.int32)


def test_start_epochs_are_uniform_between_the_bounds():
    starts = [parts(step)[1] for step in map(feed(Segment(2, 2, 6)), range(400))]
    counts = np.bincount(starts, minlength=8)
    assert set(starts) == {2, 3, 4, 5}
    assert (np.abs(counts[2:6] - 100) < 40).all()  # five deviations of a binomial


def test_every_expert_serves_once_before_any_serves_again():
    used = [parts(piece)[0] for piece in map(feed(Segment(1, 0, 4)), range(40))]
    passes = [used[at : at + 5] for at in range(0, 40, 5)]
    assert all(sorted(turn) == [0, 1, 2, 3, 4] for turn in passes)
    assert len({tuple(turn) for turn in passes}) > 1  # shuffled anew


def test_a_piece_is_a_function_of_seed_and_step():
    forward, again = feed(Segment(2, 0, 6)), feed(Segment(2, 0, 6))
    expected = [parts(forward(step)) for step in range(12)]
    assert [parts(again(step)) for step in reversed(range(12))] == expected[::-1]
    assert [parts(feed(Segment(2, 0, 6), seed=1)(step)) for step in range(12)] != expected


def test_a_step_reads_no_row_that_it_does_not_need():
    experts = Numbered()
    make = feed(Segment(4, 0, 3), experts=experts)
    make(0)
    assert len(experts.reads) == 1 and len(experts.reads[0]) == 2


def test_the_bound_grows_to_its_end_and_stays():
    request = Segment(2, 0, 20, grow=(10, 1000))
    bounds = [start_bound(request, step) for step in (0, 99, 100, 500, 999, 1000, 5000)]
    assert bounds == [10, 10, 11, 15, 19, 20, 20]
    assert all(
        a <= b
        for a, b in zip(
            map(lambda s: start_bound(request, s), range(1100)), map(lambda s: start_bound(request, s), range(1, 1101)), strict=True
        )
    )
    early = {parts(make)[1] for make in map(feed(Segment(2, 0, 6, grow=(2, 500))), range(60))}
    late = {parts(make)[1] for make in map(feed(Segment(2, 0, 6, grow=(2, 500))), range(500, 600))}
    assert early == {0, 1} and late == {0, 1, 2, 3, 4, 5}


def test_epochs_that_were_not_recorded_are_left_out_and_said(capsys):
    make = feed(Segment(3, 0, 20), experts=Numbered(epochs=8))
    assert {parts(make(step))[1] for step in range(100)} == {0, 1, 2, 3, 4, 5}
    assert "start epochs stay below 6, not 20: the experts are trained for 8 epochs" in capsys.readouterr().err
    feed(Segment(3, 0, 6))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("request_", "remedy"), [(Segment(2, 0, 4), "add --path straight, or give experts"), (Stages(2), "give experts")])
def test_experts_without_the_snapshots_between_are_refused_where_these_are_read(request_, remedy):
    experts = Numbered()
    experts.ends = True
    with pytest.raises(BadInput, match=rf"^--experts: .* those between are read here; {remedy} that were trained without --ends$"):
        make_feed(request_, NOTHING, 3, seed=0, experts=experts)
    assert feed(Segment(2, 0, 4, straight=True), experts=experts)(0).epoch < 4


@pytest.mark.parametrize("request_", [Segment(9, 0, 4), Segment(2, 7, 20), Segment(2, 3, 3), Segment(2, 4, 6, grow=(4, 10))])
def test_bounds_that_leave_no_epoch_are_refused(request_):
    with pytest.raises(BadInput, match=r"no start epoch: .* experts trained for 8.* at least \d+ epochs"):
        feed(request_)


def test_a_piece_is_whole_on_every_device():
    placed = mesh.place_batch(feed(Segment(2, 0, 4, every=True))(0))
    assert len(mesh.devices()) == 4
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(placed)) and isinstance(placed, Piece)


class Random(Numbered):
    """Trajectories of random numbers, or straight ones between the same ends."""

    def __init__(self, *, straight: bool = False):
        super().__init__(count=2, epochs=8)
        self.rows = np.random.default_rng(0).normal(size=(2, 9, 5))
        if straight:
            steps = np.linspace(0, 1, 9)[None, :, None]
            self.rows = (1 - steps) * self.rows[:, :1] + steps * self.rows[:, -1:]

    def read(self, expert, epochs):
        self.reads.append(list(epochs))
        return self.rows[expert, list(epochs)].astype(np.float32)


@pytest.mark.parametrize("every", [False, True])
def test_a_straight_path_is_interpolated_at_any_position_from_two_snapshots(every):
    """Every parameter by `np.interp` between the ends, at the position that the piece names and the two whole epochs after it."""
    experts = Random()
    make, positions, used = feed(Segment(2, 1, 5, every=every, straight=True), experts=experts), [], set()
    for step in range(200):
        piece = make(step)
        at = float(piece.epoch)
        lines = [[np.interp([at, at + 1, at + 2], [0, 8], row[[0, 8], p]) for p in range(5)] for row in experts.rows]
        found = [np.allclose(piece.start, np.array(line)[:, 0], atol=1e-6) for line in lines]
        expert = found.index(True)
        np.testing.assert_allclose(piece.targets, np.array(lines[expert])[:, 1:].T[0 if every else 1 :], atol=1e-6)
        assert (piece.start.dtype, piece.targets.dtype, piece.epoch.dtype, piece.epoch.shape) == (*[np.float32] * 3, ())
        positions.append(at)
        used.add(expert)
    assert {tuple(read) for read in experts.reads} == {(0, 8)} and len(experts.reads) == 200 and used == {0, 1}
    counts = np.histogram(positions, bins=8, range=(1, 5))[0]
    assert min(positions) >= 1 and max(positions) < 5 and (np.abs(counts - 25) < 24).all()  # five deviations of a binomial


def test_at_whole_positions_of_a_straight_path_interpolation_gives_what_was_recorded():
    straight, bent = Random(straight=True), Random()
    for expert in range(2):
        recorded = straight.read(expert, range(9))
        np.testing.assert_allclose(on_line(straight, expert, range(9)), recorded, atol=1e-6)
        np.testing.assert_array_equal(on_line(bent, expert, [0, 8]), bent.read(expert, [0, 8]))
        assert np.abs(on_line(bent, expert, range(9)) - bent.read(expert, range(9))).max() > 0.1


def test_positions_on_a_straight_path_leave_room_for_the_last_target(capsys):
    make = feed(Segment(3, 0, 20, straight=True), experts=Random())
    starts = [float(make(step).epoch) for step in range(100)]
    assert 4.8 < max(starts) < 5 and "start epochs stay below 5, not 20" in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"no start epoch: .* experts trained for 8; .* at least 9 epochs"):
        feed(Segment(8, 0, 4, straight=True), experts=Random())
    early = [float(make(step).epoch) for make in [feed(Segment(2, 0, 6, grow=(2, 500), straight=True))] for step in range(60)]
    assert 1.5 < max(early) < 3


def stages(window: int, steps: int, *, seed: int = 0) -> list[tuple[int, int, int]]:
    """Expert, earlier and later epoch of every step, as the numbers themselves say."""
    make = make_feed(Stages(window), NOTHING, 3, seed=seed, experts=Numbered())
    found = [[divmod(int(row[0]), 1000) for row in make(step)] for step in range(steps)]
    assert all(earlier[0] == later[0] for earlier, later in found)
    return [(expert, earlier, later) for (expert, earlier), (_, later) in found]


def test_stages_are_uniform_and_the_later_one_lies_within_the_window():
    """Eight epochs: the earlier stage is any of 0 ... 7, as often as any other, the later one of the three that follow, up to the last."""
    found = stages(3, 800)
    counts = np.bincount([earlier for _, earlier, _ in found], minlength=9)
    assert counts[8] == 0 and (np.abs(counts[:8] - 100) < 47).all()  # five deviations of a binomial
    for at in range(8):
        seen = {later for _, earlier, later in found if earlier == at}
        assert seen == set(range(at + 1, min(at + 3, 8) + 1))


def test_stages_take_experts_in_turn_and_are_a_function_of_seed_and_step():
    used = [expert for expert, _, _ in stages(2, 40)]
    assert all(sorted(used[at : at + 5]) == [0, 1, 2, 3, 4] for at in range(0, 40, 5))
    assert stages(2, 40) == stages(2, 40) != stages(2, 40, seed=1)


def test_a_tuple_of_feeds_gives_what_each_gives_alone_and_is_put_on_the_devices_part_by_part():
    x = np.arange(24, dtype=np.float32).reshape(12, 2, 1, 1)
    examples, experts = Examples(x, np.repeat(np.arange(3), 4).astype(np.int32)), Numbered()
    requests = (PerClass(4), Stages(2))
    both = make_feed(requests, examples, 3, seed=5, experts=experts)
    alone = [make_feed(one, examples, 3, seed=5, experts=experts) for one in requests]
    for step in (0, 7):
        jax.tree.map(np.testing.assert_array_equal, both(step), tuple(one(step) for one in alone))
    real, snapshots = mesh.place_batch(both(0))
    assert {shard.data.shape for shard in real.addressable_shards} == {(3, 1, 2, 1, 1)}  # split along the examples of a class
    assert all(leaf.sharding.is_fully_replicated for leaf in snapshots)
