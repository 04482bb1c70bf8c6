"""The grid of knowledge distillation on pruned data: what it holds, counted by hand."""

from tests.bench.pruning import ALPHAS, CHOICES, FRACTIONS, NETS, grid


def test_the_grid_holds_every_row_once_and_those_without_weight_once_for_all_teachers():
    cells = list(grid())
    assert (len(FRACTIONS), len(CHOICES), len(ALPHAS), len(NETS)) == (5, 7, 4, 3)
    assert len(cells) == len(set(cells)) == 5 * 7 * (1 + 3 * 3)
    assert sum(cell.trainings(3) for cell in cells) == 5 * 7 * (3 + 9 * (3 + 3)), "three temperatures are tried first"
    assert {cell.teacher for cell in cells if cell.alpha == 0} == {None}
