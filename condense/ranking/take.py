"""Opens the log of ranks that a flag names, and refuses one of other examples."""

from pathlib import Path

from condense.data.images import Data
from synth.errors import BadInput
from synth.selection.ranks import Ranks, read_ranks


def take_ranks(place: str | Path, data: Data, *, flag: str = "--ranks") -> Ranks:
    """Opens the log of ranks in a folder. Raises BadInput, naming the flag, for a folder without a finished one, and for a log of other
    data or another validation split."""
    ranks = read_ranks(place, flag=flag)
    header, at = ranks.header, f"{flag} {place}"
    if header.data_digest != data.digest:
        made, here = header.data_digest[:12], data.digest[:12]
        raise BadInput(f"{at}: made of {header.data} of digest {made}, and {data.spec} has {here}; give --data {header.data}")
    if (header.split_seed, header.examples) != (data.seed, len(data.train.y)):
        cut = f"{header.examples:,} examples cut by seed {header.split_seed}, here {len(data.train.y):,} cut by {data.seed}"
        raise BadInput(f"{at}: made of {cut}: the training splits are not the same; rank this data")
    return ranks
