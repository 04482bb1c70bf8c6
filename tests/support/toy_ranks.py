"""A log of ranks in memory, of random numbers that a log may hold."""

from pathlib import Path

import numpy as np

from synth.selection.ranks import DTYPES, Header, Ranks


def toy_ranks(labels, *, networks: int = 2, epochs: int = 4, width: int = 3, full: bool = True, digest: str = "toy", **fields) -> Ranks:
    """Ranks of examples with these labels; `fields` replace those of the same name."""
    y = np.asarray(labels, np.int32)
    names = tuple(map(str, range(int(y.max()) + 1)))
    told = {"net": "mlp", "recipe": {"lr": 0.05, "batch": 8}, "data": "toy", "data_digest": digest, "seed": 0, "split_seed": 0, "sums": {}}
    header = Header(networks=networks, epochs=epochs, examples=len(y), width=width, full=full, classes=names, **told)
    rng = np.random.default_rng(len(y))
    made = {name: rng.uniform(0, 1, shape).astype(DTYPES[name]) for name, shape in header.shapes().items()}
    made |= {"correct": rng.integers(0, 2, made["correct"].shape).astype(np.uint8), "label": y}
    made["embedding"] = rng.normal(0, 1, made["embedding"].shape).astype(np.float16)
    return Ranks(None, header, made | fields)


def write_ranks(folder: Path, ranks: Ranks) -> None:
    """Puts a log into a folder, as `condense rank` leaves it."""
    from condense.ranking.log import RankLog

    log = RankLog(folder, ranks.header)
    log.create()
    for name in ranks.fields:
        log.write(name, 0, ranks.read(name))
    log.finish()
