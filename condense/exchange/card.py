"""The card of an export: README.md in the form of the Hugging Face hub, a header in YAML and a text for people."""

import json
import re

from condense.data.credits import credits_of
from condense.exchange.base import Format, Parcel
from synth.set import SyntheticSet

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LOOKS = {  # modality -> parcel -> the task as the hub calls it, and what the examples are
    "images": lambda parcel: ("image-classification", f"images of {'x'.join(map(str, parcel.images.shape[1:]))}"),
    "vectors": lambda parcel: ("tabular-classification", f"vectors of {parcel.rows['raw'].shape[1]} numbers"),
    "graphs": lambda parcel: ("graph-ml", "graphs"),
}
MARK = "made by `condense export`"  # by which an export is known where another one would replace it
WORD = re.compile(r"[A-Za-z0-9.-]{1,40}")  # such as cc-by-4.0
NO_LICENCE = "unknown unless the owner of the data that it was made from states one; condense states none"


def write_card(synth: SyntheticSet, parcel: Parcel, name: str, how: Format) -> str:
    """The text of the card of a set that is exported as the format `how`, called `name` (as `--to` has it). Nothing is written here."""
    info, n, (task, looks) = synth.info, len(parcel.label), LOOKS[parcel.modality](parcel)
    size_category = next((text for limit, text in SIZES if n < limit), "n>1M")
    text = lambda value: json.dumps(value, ensure_ascii=False)  # noqa: E731 (JSON's strings are YAML's)
    owner = credits_of(info.data_path or info.data)
    head = [f"license: {hub_name(owner.licence)}", "task_categories:", f"- {task}", f"size_categories:\n- {text(size_category)}"]
    head += [f"pretty_name: {text((info.data or parcel.modality) + ', distilled')}"]
    head += ["tags:", "- dataset-distillation", "- condense"]
    if how.files:
        head += ["configs:", "- config_name: default", "  data_files:", "  - split: train", f"    path: {text(how.files)}"]
    licence = f"that of the data that it was made from, {' '.join(owner.licence.split())}" if owner.licence else NO_LICENCE
    classes = ", ".join(parcel.classes[:50]) + (" ..." if len(parcel.classes) > 50 else "")
    facts = [
        f"{n:,} synthetic {looks} in {len(parcel.classes)} classes: {classes}.",
        f"- Source of the data: `{info.data or 'unknown'}`" + (f", digest `{info.data_digest}`" if info.data_digest else ""),
        *([f"- Origin of the data: {' '.join(owner.source.split())}"] if owner.source else []),
        f"- Method: `{info.method or 'unknown'}`, seed {info.seed}, configuration `{info.config or 'unknown'}`",
        f"- Train on it with: network `{info.net or 'any'}`, recipe `{info.recipe or 'any'}`",
        *_collages(synth),
        f"- Labels: {synth.y.kind}, arrays {', '.join(name for name in (*parcel.rows, *parcel.whole) if name.startswith('y_'))}",
        f"- Step size learned with the {parcel.modality}: {'none' if synth.lr is None else f'{float(synth.lr):.9g}'}",
        f"- Licence: {licence}",
    ]
    arrays = [
        f"| `{key}` | {value.dtype} {list(value.shape)} | {_meaning(key)} |" for key, value in {**parcel.numbers(), **parcel.whole}.items()
    ]
    use = [f"### {heading}\n\n```python\n{code.strip()}\n```" for heading, code in how.usage]
    lossy = [f"Pictures are of 8 bits: {parcel.clipped}."] if parcel.clipped else ["Nothing: all arrays are there as the set has them."]
    if "x_pixels" in parcel.rows:
        lossy += ["`x_pixels` and `raw` are the images without loss, before and after the normalisation was undone."]
    parts = [
        "---\n" + "\n".join(head) + "\n---",
        f"# {info.data or parcel.modality.capitalize()}, distilled",
        f"A distilled data set, {MARK} (format `{name}`).",
        "\n".join([facts[0], "", *facts[1:]]),
        "## How to load it",
        *use,
        "`condense import PATH --out set.npz` makes the set of it again, and `condense evaluate set.npz --data SPEC` scores it.",
        "## What is in it",
        "\n".join(["| array | dtype, shape | meaning |", "|---|---|---|", *arrays]),
        "## What is lost",
        " ".join(lossy),
    ]
    if owner.citation:
        parts += ["## Whom to cite for the data", f"```bibtex\n{owner.citation}\n```"]
    return "\n\n".join(parts) + "\n"


def hub_name(licence: str) -> str:
    """The licence as the header of a card names it: in lower case where it looks like a word of the hub, such as cc-by-4.0, else `other`;
    `unknown` for an empty one."""
    return "unknown" if not licence else licence.lower() if WORD.fullmatch(licence) else "other"


def _collages(synth: SyntheticSet) -> list[str]:
    """What whoever trains on a set of collages must know."""
    if synth.cells == 1:
        return []
    what = f"Every image is a collage of {synth.cells}x{synth.cells} images of its class"
    return [f"- {what}: train on one cell at a time, drawn at random and resized to the whole, and crop within it"]


def _meaning(name: str) -> str:
    """What an array of an export means."""
    known = {
        "label": "class of every example, an index",
        "raw": "images, black at 0 and white at 1, which learned ones may leave; or vectors in the units of their table",
        "share": "what every example weighs in a loss; all of them sum to 1",
        "x": "a row a node: its tag, or its features",
        "edge_index": "sender and receiver of every edge, numbers of nodes; an undirected edge is there both ways",
        "edge_attr": "label of every edge",
        "batch": "the graph that every node belongs to",
        "probabilities": "what the labels say of every class",
        "weight": "how often an example counts",
        "lr": "step size of plain gradient descent",
    }
    return known.get(name) or f"`{name.replace('_', '/', 1)}` of condense's file of a set"
