"""Curriculum coarse-to-fine selection (Chen, Chen, Zhang, Guan and Nie, CVPR 2025, arXiv 2503.18872): real images beside distilled ones."""

import hashlib
from dataclasses import replace
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from matchers.base import Matcher, Task, Unread, once
from matchers.selection.common import check_ranked
from synth.base import Net
from synth.errors import BadInput
from synth.options import Positive, Share
from synth.selection.ranks import Ranks
from synth.selection.scores import name_score, scores
from synth.set import SyntheticSet
from synth.training.fit import train_on
from synth.training.stream import read_over


def ccfs(
    net: Net,
    ranks: Ranks,
    distilled: SyntheticSet,
    task: Task,
    *,
    share: Annotated[float, Share] = 0.2,
    rounds: int = 3,
    by: str = "forgetting",
    epochs: int = 100,
    net_lr: Annotated[float, Positive] = 0.01,
) -> Matcher:
    """Adds real images to distilled ones, round by round: the easiest that a network gets wrong which was trained on the set so far.

    Of every class the set has the first max(1, floor(share ipc)) images of the distilled set and, for the rest, real ones. Each of J rounds
    adds as many, the first rounds one more where J does not divide them. A round trains a new network, the filter, on the set so far
    (SGD, momentum 0.9, decay 5e-4, batch 256). Of every class it takes, among the training images that no round has taken, those that the
    filter gets wrong, lowest score first; where these are too few, the others, lowest score first. Labels are class indices.

    What is not here: the published filter learns from the answers of a teacher, under random crops; images that the teacher gets wrong are
    never taken; and a round that finds too few wrong images takes fewer. Its labels are the teacher's, as `condense relabel` gives them.

    Args:
      net: the family of filters.
      ranks: the log of proxies.
      distilled: the set whose images are kept; its learned labels and step size are not.
      task: the run that it serves, which keeps the rounds that are done, so that a stopped run goes on from them.
      share: of the budget, how much comes from the distilled set, in (0, 1]; at least one image of every class, and not all.
      rounds: J. As published 3.
      by: the score, as of `condense distill select`.
      epochs: passes over the set so far that a filter trains.
      net_lr: step size of that training (> 0).

    Raises:
      BadInput: a budget that the distilled images fill, or that takes more images than the distilled set or the smallest class has.
    """
    score_name = name_score(by, ranks)
    options = {"share": share, "rounds": rounds, "by": by, "epochs": epochs, "net_lr": net_lr}

    def predict(vars, x):
        return net.apply(vars, x).logits.argmax(-1)

    def solve(key, synth, examples, done):
        y, classes, ipc = check_ranked(ranks, examples), synth.y.classes, len(synth) // synth.y.classes
        given = max(1, int(share * ipc + 1e-9))  # 0.29 of 100 are 29, whatever their product rounds to
        check_counts(y, classes, ipc, given)
        kept_images, score = first_of_each(distilled, classes, given), scores(ranks, by)
        counts = [len(part) for part in np.array_split(np.arange(ipc - given), rounds)]
        request = {**options, "key": jax.random.key_data(key).tolist(), "ranks": ranks.identity(), "images": digest_of(kept_images)}
        kept = task.keep(request, rounds) if task.keep else None
        stored, chosen = (kept and kept.done) or (0, np.zeros((rounds, classes, counts[0]), np.int64))
        for number, count in enumerate(counts):
            if number >= stored and count:
                taken = in_order(chosen, counts[:number])
                x, labels = joined(kept_images, examples, taken)
                vars = train_on(jax.random.fold_in(key, number), net, x, labels, classes, epochs=epochs, lr=net_lr)
                wrong = read_over(predict, vars, examples) != y
                free = ~np.isin(np.arange(len(y)), taken)
                chosen[number, :, :count] = easiest_wrong(score, y, wrong, free, classes, count)
            if number + 1 < rounds:
                if kept and number >= stored:
                    kept.tick(number + 1, chosen)
                done()
        return replace(synth, x=synth.x.encode(jnp.asarray(joined(kept_images, examples, in_order(chosen, counts))[0])))

    return once(solve, feed=Unread(), parts=lambda synth: rounds)._replace(own_start="", score=score_name)


def easiest_wrong(
    score: Float[np.ndarray, " n"],
    y: Int[np.ndarray, " n"],
    wrong: Bool[np.ndarray, " n"],
    free: Bool[np.ndarray, " n"],
    classes: int,
    count: int,
) -> Int[np.ndarray, "classes count"]:
    """Positions of `count` examples of every class, a row a class: those that are wrong before the others, and among each the lowest score
    first; ties go to the example that comes first. Only examples that are `free` are taken, of which every class must have `count`."""
    order = np.lexsort((score, ~wrong))
    order = order[free[order]]
    return np.stack([order[y[order] == c][:count] for c in range(classes)])


def in_order(chosen: Int[np.ndarray, "rounds classes most"], counts: list[int]) -> Int[np.ndarray, "classes m"]:
    """The positions that the first rounds chose, `counts` of every class, round after round; a row a class."""
    rows = [chosen[number, :, :count] for number, count in enumerate(counts)]
    return np.concatenate(rows, 1) if rows else chosen[0, :, :0]


def joined(images: Float[np.ndarray, "classes k ..."], examples, index: Int[np.ndarray, "classes m"]) -> tuple[np.ndarray, np.ndarray]:
    """Images of every class and behind them the examples at the positions `index`, class after class, f32[classes (k + m) ...], and their
    class indices."""
    classes, shape = len(images), images.shape[2:]
    real = np.asarray(examples.take(index.ravel()).x).reshape(*index.shape, *shape)
    x = np.concatenate([images, real], 1)
    return x.reshape(-1, *shape), np.repeat(np.arange(classes, dtype=np.int32), x.shape[1])


def first_of_each(distilled: SyntheticSet, classes: int, count: int) -> Float[np.ndarray, "classes count ..."]:
    """The first `count` images of every class of a set, by its most probable class where labels are soft. Raises BadInput where it has
    fewer of one."""
    images, index = np.asarray(distilled.x.decode(), np.float32), np.asarray(distilled.y.probs()).argmax(1)
    there = np.bincount(index, minlength=classes)
    if there.min() < count:
        what = f"the set has {there.min()} images of class {there.argmin()}, and {count} of each are taken"
        raise BadInput(f"--distilled: {what}; give a larger set, a smaller budget or a smaller --share")
    return np.stack([images[index == c][:count] for c in range(classes)])


def check_counts(y: Int[np.ndarray, " n"], classes: int, ipc: int, given: int) -> None:
    """Raises BadInput where `given` distilled images leave no room among `ipc` of a class, or where the smallest class has fewer real
    images than that room."""
    there = int(np.bincount(y, minlength=classes).min())
    if ipc <= given:
        raise BadInput(f"--ipc {ipc}: {given} distilled of a class leave no room for real ones; give more, or a smaller --share")
    if there < ipc - given:
        raise BadInput(f"--ipc {ipc}: {ipc - given} real images of every class are taken, and the smallest has {there}; give fewer")


def digest_of(images: Float[np.ndarray, "..."]) -> str:
    """Sixteen hexadecimal digits that tell images from others."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()[:16]
