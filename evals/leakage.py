"""Leakage of soft labels: what a student learns of examples that only its teacher has seen.

A teacher memorises labels that were drawn at random, so that nothing but its training set tells them. A student learns from the teacher's
answers to a part of these examples. Where it then knows the labels of the others better than those of examples that nobody has seen, the
answers have carried them over.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synth.base import Net, Teacher
from synth.images.views import View
from synth.labelling import LabelPlan, label
from synth.labels.plain import Hard
from synth.training.fit import adam, epoch_items, fit, in_batches, init_fit, on_examples

PARTS = 3  # shown to the student, held out from it, never seen


class Leakage(NamedTuple):
    """Accuracies on labels drawn at random, fractions in [0, 1].

    Args:
      memorised: of the teacher on its own training set: near 1, or the rest says nothing.
      shown, held: of the student, on the part that it learned from and on the part that only the teacher saw.
      unseen: of the student, on examples that nobody saw.
    """

    memorised: float
    shown: float
    held: float
    unseen: float

    @property
    def leakage(self) -> float:
        """The accuracy on the labels that were held out minus that on labels that nobody saw."""
        return leakage(self.held, self.unseen)


def leakage(held: float, unseen: float) -> float:
    """What a student knows beyond chance of labels that it was not shown: a difference of accuracies in [-1, 1]."""
    return held - unseen


def measure_leakage(
    key: jax.Array, net: Net, x: Float[Array, "n h w c"], classes: int, *, temperature: float = 20.0, epochs: int = 300, lr: float = 3e-3
) -> Leakage:
    """Draws labels of the examples at random, trains a teacher on two thirds of them and a student on its answers to half of these. The
    thirds hold n // 3 examples each.

    Args:
      net: of teacher and student, which should hold all of the labels. x: the examples, whose own labels do not matter.
      classes: how many labels there are. temperature: of the answers. epochs, lr: of both trainings by Adam, in batches of 64 or all.
    """
    k_labels, k_order, k_teacher, k_student = jax.random.split(key, 4)
    y = jax.random.randint(k_labels, (len(x),), 0, classes)
    size = len(x) // PARTS
    shown, held, unseen = jnp.split(jax.random.permutation(k_order, len(x))[: PARTS * size], PARTS)
    seen = jnp.concatenate([shown, held])
    teacher = Teacher(net, train(k_teacher, net, x[seen], Hard(y[seen], classes), epochs=epochs, lr=lr))
    answers = label(key, "static", x[shown], y[shown], classes, (teacher,), LabelPlan(1, 0, View(), temperature))
    student = train(k_student, net, x[shown], answers, epochs=epochs, lr=lr)

    def right(vars, part: Int[Array, " m"]) -> float:
        taken = in_batches(lambda vars, x: net.apply(vars, x).logits.argmax(-1), vars, x[part])
        return float(np.mean(np.asarray(taken == y[part])))

    return Leakage(right(teacher.vars, seen), *(right(student, part) for part in (shown, held, unseen)))


def train(key: jax.Array, net: Net, x: Float[Array, "n h w c"], labels, *, epochs: int, lr: float):
    """The variables of a network that is drawn anew and trained for so many epochs by Adam at step size `lr`, on examples as they are, in
    batches of 64, or of all where there are fewer. `labels` are `synth.labels.Labels` of them."""
    tx = adam(lr)
    objective = on_examples(net, x, labels)

    @jax.jit
    def run(state):
        def epoch(number, state):
            return fit(objective, tx, state, epoch_items(key, number, len(x), batch=min(64, len(x))))[0]

        return jax.lax.fori_loop(0, epochs, epoch, state)

    return run(init_fit(jax.random.fold_in(key, 1), net, tx)).vars
