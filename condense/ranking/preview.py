"""The output of `condense rank --dry-run`: what would be trained and logged, and what it would take."""

from pathlib import Path

from condense import nets
from condense.engine.measure import measure_training
from condense.ranking.log import log_bytes
from condense.ranking.train import LOGGED, PIECES, Ranking, width_of
from condense.runtime.log import duration, note
from condense.runtime.run_folder import foresee
from synth.files.memory import megabytes
from synth.selection.ranks import DTYPES, FULL, PER_EPOCH

FULL_GRADIENT = 3  # passes of an epoch's training that one of every example's gradient is counted as; the measured ratio is below that


def preview_ranking(ranking: Ranking, out: str | Path, *, force: bool = False) -> list[str]:
    """Returns the lines that `condense rank --dry-run` prints: choices, size of the log, what the folder `out` holds, estimated time. A
    mini-batch is trained for the estimate; nothing is written."""
    data, recipe = ranking.data, ranking.recipe
    net, batch = nets.build(ranking.net, data.image, len(data.classes)), min(recipe.batch, len(data.train.y))
    header = ranking.header(width_of(net, data.image))
    beside = {"seed": ranking.seed, "data_digest": data.digest, "trained_on": data.trained_on}
    folder = foresee(Path(out), ranking.config(), whole=True, steps=ranking.steps, force=force, **beside)
    fields = PER_EPOCH | (FULL if ranking.full else {})
    each = sum(int(DTYPES[name][2]) for name in fields)
    note("compiling and timing a mini-batch of a proxy")
    steps = ranking.steps * -(-len(data.train.y) // batch)
    shares = 1 + LOGGED / PIECES + (FULL_GRADIENT if ranking.full else 0)
    cost = measure_training(net, data.image, len(data.classes), batch=batch)
    seconds = cost.compiling + cost.seconds * steps * shares
    rows = [
        ("data", f"{data.spec}: {header.examples:,} training examples are ranked; split by seed {data.seed}"),
        ("network", ranking.net),
        ("proxies", f"{ranking.networks} of {recipe.epochs} epochs, step size {recipe.lr:g}, {batch} examples a step"),
        ("log", f"{', '.join(fields)}: {each} bytes an example, epoch and network; {megabytes(log_bytes(header))} with embeddings"),
        ("folder", folder),
        ("seed", str(ranking.seed)),
        ("estimate", f"about {duration(seconds)} on this machine as it is now, {steps:,} steps in all"),
    ]
    return [f"{name:<10}{text}" for name, text in rows]
