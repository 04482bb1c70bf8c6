"""What teachers say of a set's views: `python -m tests.bench.labels SET --data SPEC --teachers DIR`.

For every teacher, and for all by the mean of their logits: the share of views whose highest logit is that of the set's class, the mean
entropy of softmax(z / T) in nats, and the share of the logits' variance that lies between images and not between views of one, with running
statistics in the batch norms and with those of each half of a batch. Views are those of the set's recipe in its first epochs; where labels
are stored, the very ones that they answer to.
"""

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from condense.data.for_set import find_set, take_data
from condense.teachers.labelling import plan_of
from condense.teachers.store import take_teachers
from condense.workflows.relabel import choose_recipe
from synth.base import Teacher
from synth.files.format import load_set
from synth.labelling import LabelPlan, batch_of, label
from synth.set import SyntheticSet
from synth.training.fit import epoch_items

STATISTICS = ("running", "batch/2")


def survey(synth: SyntheticSet, teachers: Sequence[Teacher], plan: LabelPlan, statistics: str) -> tuple[float, float, float]:
    """Share of the views of `plan` on which these teachers together name the set's class, the mean entropy of their labels, and the share
    of the variance of their logits that is between images: 1 where all views of an image get one answer."""
    index, seed = jnp.asarray(synth.y.probs().argmax(-1), jnp.int32), getattr(synth.y, "seed", 0)
    x, classes = synth.x.decode(), synth.y.classes
    made = label(jax.random.key(0), "committee", x, index, classes, teachers, plan, statistics=statistics, seed=seed)
    order = [epoch_items(jax.random.key(seed), epoch, len(x), batch=made.batch).index.ravel()[: len(x)] for epoch in range(plan.epochs)]
    logits, shown = made.logits.astype(jnp.float32), jnp.stack(order)
    doubts = jax.scipy.special.entr(jax.nn.softmax(logits / plan.temperature)).sum(-1)
    by_image = jnp.take_along_axis(logits, jnp.argsort(shown, 1)[:, :, None], 1)  # [epochs, images, classes]
    between = 1 - by_image.var(0, ddof=1).sum(-1).mean() / by_image.reshape(-1, classes).var(0, ddof=1).sum()
    return float((logits.argmax(-1) == index[shown]).mean()), float(doubts.mean()), float(between)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.labels", description=__doc__.splitlines()[0])
    parser.add_argument("what", metavar="SET", help="a set's file or a run's folder")
    parser.add_argument("--data", help="by default what the set was made from")
    parser.add_argument("--teachers", required=True)
    parser.add_argument("--recipe", help="by default the set's, or cvdd where that shows no views")
    parser.add_argument("--epochs", type=int, default=10, help="that are looked at")
    args = parser.parse_args()
    synth = load_set(find_set(args.what))
    data = take_data(synth, args.data)
    plan = plan_of(choose_recipe(synth, args.recipe, None), data.image, data.flips).at(synth.y.kind)
    plan = plan._replace(epochs=args.epochs, temperature=getattr(synth.y, "temperature", plan.temperature), progress=None)
    known = take_teachers(args.teachers, data)
    batch = batch_of(plan.batch, len(synth), synth.y.classes)
    print(f"{synth.y.kind} labels at temperature {plan.temperature:g}, {args.epochs} epochs of {plan.view} in batches of {batch}")
    print(f"entropy of all classes alike: {np.log(synth.y.classes):.3f} nats")
    heads = " | ".join(f"{s}: set's class | entropy | between images" for s in STATISTICS)
    print(f"| teacher | {heads} |\n" + "|---" * 7 + "|")
    for name, asked in (*((teacher.name, [teacher]) for teacher in known), ("all", known)):
        told = [survey(synth, asked, plan, statistics) for statistics in STATISTICS]
        cells = " | ".join(f"{100 * share:.1f} % | {entropy:.3f} | {100 * between:.1f} %" for share, entropy, between in told)
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
