"""How the examples of every row lie among the training examples, in the features of a trained network that stays as it is."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from condense.evaluation.report import Evaluation
from condense.evaluation.scoring import Scoring, draws_of
from condense.teachers.store import read_index, take_teachers
from evals.spread import Spread, spread
from synth.base import Examples, Net, Split, Teacher
from synth.errors import BadInput
from synth.training.stream import read_over


def check_embedding(made: Scoring) -> None:
    """Raises BadInput if the call names a folder of teachers for the embedding (`embed`) and there are none in it, or the set holds no
    images."""
    place = made.common.choices.embed
    if place is None:
        return
    if made.data.modality != "images":
        raise BadInput(f"--embed {place}: trained networks see images, and the set holds {made.data.modality}; leave it out")
    read_index(place, flag="--embed")


def with_spread(made: Scoring, evaluation: Evaluation) -> Evaluation:
    """The evaluation whose reports say coverage and diversity of their row's examples, those of the first seed, in the features of the
    first network in the folder `embed` of the call; not for rows of all examples. Unchanged where the call names no folder."""
    place = made.common.choices.embed
    if place is None:
        return evaluation
    teacher = take_teachers(place, made.data, flag="--embed", split=made.common.choices.split)[0]
    train = made.data.train
    real = embeddings(teacher, train)
    kinds = [kind for kind in dict.fromkeys((*plain(made), *made.varied)) if not made.whole(kind)]
    draws = draws_of(made, kinds)() if kinds else {}
    found = {kind: spread_of(teacher, real, train.y, draws[kind]) for kind in kinds}
    return evaluation._replace(reports=tuple(one._replace(spread=found.get(one.set_kind)) for one in evaluation.reports))


def plain(made: Scoring) -> list[str]:
    """The names of the rows that are not all training examples, one an entry of `made.rows`: a name comes once for every network."""
    return [row.kind for row in made.rows if not row.whole]


def spread_of(teacher: Teacher, real: Float[np.ndarray, "n d"], labels: np.ndarray, draw: Callable[[int], Any]) -> Spread | None:
    """Coverage and diversity of what a row draws for the first seed, class by class, and then the mean over classes.

    Args:
      teacher: whose features are compared.
      real: features of all training examples. labels: their class indices.
      draw: seed -> the row's set; an example belongs to its most probable class.
    """
    drawn = draw(0)
    index = np.asarray(drawn.y.probs()).argmax(-1)
    return spread(real, np.asarray(labels), embeddings(teacher, Examples(drawn.x.decode(), index)), index)


@lru_cache(maxsize=8)
def reader(net: Net) -> Callable:
    """Returns (vars, images) -> features in front of the network's head; the same function for the same network, so that it is compiled
    once."""
    return lambda vars, x: net.apply(vars, x).embed


def embeddings(teacher: Teacher, split: Split) -> Float[np.ndarray, "n d"]:
    """The teacher's features of images in model space, in front of its head. They are computed in batches, wherever the images lie."""
    return read_over(reader(teacher.net), teacher.vars, split)
