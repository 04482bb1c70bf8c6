"""The ranks of a selection: the log that `--ranks` names, or one of a few proxies made in the run's folder."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from condense import nets
from condense.data.images import Data
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.ranking.train import BATCH, EPOCHS, LR, NETWORKS, Ranking, rank, settle_ranking, width_of
from condense.runtime.log import note
from synth.errors import BadInput
from synth.selection.ranks import DTYPES, RECORD, Ranks, read_header, read_ranks


def ranking_of(context: Context) -> Ranking:
    """The ranking that a run makes for itself: the usual number of proxies, of the run's network where the call names one."""
    choices = {"networks": NETWORKS, "epochs": EPOCHS, "lr": LR, "batch": BATCH, "full_gradient": False, "seed": context.seed}
    return settle_ranking(context.data, net=context.net, **choices)


def find(context: Context) -> Input:
    """Opens the log that the flag names. Without the flag, gives a log of zeros as a stand-in for the one that the run will make.

    Raises BadInput for a folder without a log, or a log of other data or another validation split.
    """
    if context.given is not None:
        ranks = read_ranks(context.given)
        check_same_examples(ranks, context.data)
        return Input(ranks)
    ranking, place = ranking_of(context), context.out and context.out / "ranks"
    net = nets.build(ranking.net, context.data.image, len(context.data.classes))
    header = ranking.header(width_of(net, context.data.image))
    zeros = {name: np.broadcast_to(np.zeros((), DTYPES[name]), shape) for name, shape in header.shapes().items()}
    recipe = f"{NETWORKS} networks, {EPOCHS} epochs of {header.examples:,} examples, each with a log"
    batches = -(-NETWORKS * EPOCHS * header.examples * 4 // (BATCH * 3))  # the log of an epoch takes a third of its training
    begun = bool(place and (place / RECORD).is_file())
    return Input(Ranks(None, header, zeros), to_make=ToMake("ranks", (ranking.net,), recipe, place, batches, BATCH, begun=begun))


def make(context: Context) -> Input:
    """Opens the log that the flag names. Without the flag, uses the one in OUT/ranks if it fits, and makes it there otherwise."""
    if context.given is not None:
        return find(context)
    with contextlib.ExitStack() as stack:
        folder = context.out / "ranks" if context.out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ranks.")))
        own = f"{NETWORKS} proxies are trained for {EPOCHS} epochs"
        note(f"no --ranks: {own}; `condense rank` makes more, which one run after another may use")
        settings = {"net": context.net, "seed": context.seed, "command": f"made for {context.method.name}"}
        try:
            return Input(rank(context.data, folder, **settings))  # mapped files outlive their names
        except BadInput:  # the folder holds another log; one that fits is kept
            if not context.force:
                raise
            return Input(rank(context.data, folder, **settings, force=True))


def check_same_examples(ranks: Ranks, data: Data, *, flag: str = "--ranks") -> None:
    """Raises BadInput if a log is of other data, or of another validation split."""
    header, at = ranks.header, f"{flag} {ranks.folder}"
    if header.data_digest != data.digest:
        made, here = header.data_digest[:12], data.digest[:12]
        raise BadInput(f"{at}: made of {header.data} of digest {made}, and {data.spec} has {here}; give --data {header.data}")
    if (header.split_seed, header.examples) != (data.seed, len(data.train.y)):
        cut = f"{header.examples:,} examples cut by seed {header.split_seed}, here {len(data.train.y):,} cut by {data.seed}"
        raise BadInput(f"{at}: made of {cut}: the training splits are not the same")


PROVIDER = Provider(find, make, lambda ranks: ranks.identity(), lambda place: read_header(Path(place)).split_seed)
