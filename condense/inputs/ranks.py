"""The ranks of a selection: the log that `--ranks` names, or one of a few proxies made in the run's folder."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from condense import nets
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.ranking.take import take_ranks
from condense.ranking.train import BATCH, EPOCHS, LR, NETWORKS, Ranking, rank, settle_ranking, width_of
from condense.runtime.log import note
from condense.runtime.processes import is_first, one_by_one
from synth.errors import BadInput
from synth.selection.ranks import DTYPES, RECORD, Ranks, read_header


def ranking_of(context: Context) -> Ranking:
    """The ranking that a run makes for itself: the usual number of proxies, of the run's network where the call names one."""
    choices = {"networks": NETWORKS, "epochs": EPOCHS, "lr": LR, "batch": BATCH, "full_gradient": False, "seed": context.seed}
    return settle_ranking(context.data, net=context.net, **choices)


def find(context: Context) -> Input:
    """Opens the log that the flag names. Without the flag, gives a log of zeros as a stand-in for the one that the run will make.

    Raises BadInput for a folder without a log, or a log of other data or another validation split.
    """
    if context.given is not None:
        return Input(take_ranks(context.given, context.data))
    ranking, place = ranking_of(context), context.out and context.out / "ranks"
    net = nets.build(ranking.net, context.data.image, len(context.data.classes))
    header = ranking.header(width_of(net, context.data.image))
    zeros = {name: np.broadcast_to(np.zeros((), DTYPES[name]), shape) for name, shape in header.shapes().items()}
    recipe = f"{NETWORKS} networks, {EPOCHS} epochs of {header.examples:,} examples, each with a log"
    batches = -(-NETWORKS * EPOCHS * header.examples * 4 // (BATCH * 3))  # the log of an epoch takes a third of its training
    begun = bool(place and (place / RECORD).is_file())
    return Input(
        Ranks(None, header, zeros), to_make=ToMake("ranks", (ranking.net,), recipe, place, batches, BATCH, split=True, begun=begun)
    )


def make(context: Context) -> Input:
    """Opens the log that the flag names. Without the flag, uses the one in OUT/ranks if it fits, and makes it there otherwise. Raises
    BadInput where another one is there, unless the run may remove it (`force`)."""
    if context.given is not None:
        return find(context)
    with contextlib.ExitStack() as stack:
        folder = context.out / "ranks" if context.out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ranks.")))
        own = f"{NETWORKS} proxies are trained for {EPOCHS} epochs"
        note(f"no --ranks: {own}; `condense rank` makes more, which one run after another may use")
        settings = {"net": context.net, "seed": context.seed, "command": f"made for {context.method.name}"}
        leader = is_first()
        try:
            return Input(one_by_one(lambda: rank(context.data, folder, **settings)))  # mapped files outlive their names
        except BadInput:  # the folder holds another log; one that fits is kept
            if not context.force:
                raise
            return Input(one_by_one(lambda: rank(context.data, folder, **settings, force=leader)))


PROVIDER = Provider(find, make, lambda ranks: ranks.identity(), lambda place: read_header(Path(place)).split_seed)
