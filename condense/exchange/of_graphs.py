"""Sets of graphs as edge lists under the names of PyTorch Geometric, or a graph a row; `graphs.npz` has all arrays.

Sets of computation trees and colour graphs are no graphs on which another library's networks could train: their nodes stand in levels, one
a layer. They leave as arrays alone.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from condense.exchange import torch_file
from condense.exchange.base import Format, Parcel
from condense.exchange.plain import read_arrays, write_arrays
from synth.graphs.content import PackedGraphs
from synth.graphs.dense import DenseGraphs
from synth.set import SyntheticSet

ARRAYS, FACTS, ROWS = "graphs.npz", "graphs.json", "data/train-00000-of-00001.parquet"


def edge_lists(content: Any) -> dict[str, np.ndarray]:
    """Graphs one after another: `x` of the nodes (a tag, or features f32[v t]), `edge_index` i64[2 e], `edge_attr` i64[e] and `batch`
    i64[v], the graph of every node. Nothing for a content that holds no plain graphs."""
    if isinstance(content, PackedGraphs):
        graphs = content.graphs()
        x, senders, receivers, labels, graph = graphs.tags[:, None], graphs.senders, graphs.receivers, graphs.labels, graphs.graph
    elif isinstance(content, DenseGraphs):
        n, v, t = content.features.shape
        at, pair = np.nonzero(content.edges())
        low, high = ((side[pair] + at * v).astype(np.int64) for side in np.triu_indices(v, 1))
        x, graph = np.asarray(content.features).reshape(n * v, t), np.repeat(np.arange(n), v)
        senders, receivers = np.concatenate([low, high]), np.concatenate([high, low])
        labels = np.zeros(len(senders), np.int64)
    else:
        return {}
    order = np.argsort(graph[senders], kind="stable")
    x = x if x.dtype == np.float32 else x.astype(np.int64)
    edges = {"edge_index": np.stack([senders, receivers])[:, order], "edge_attr": labels[order]}
    return {"x": x, **{name: array.astype(np.int64) for name, array in edges.items()}, "batch": graph.astype(np.int64)}


def shares(synth: SyntheticSet) -> Float32[np.ndarray, " n"]:
    """What every example weighs in a loss: its frequency within its class, times the class's part of the real graphs. All of them sum to
    1."""
    y, frequency = np.asarray(synth.y.probs()).argmax(-1), np.asarray(synth.x.frequency(), np.float64)
    sizes = np.asarray(getattr(synth.y, "sizes", np.bincount(y, minlength=synth.y.classes)), np.float64)
    return (sizes[y] / sizes.sum() * frequency / np.bincount(y, frequency, minlength=len(sizes))[y]).astype(np.float32)


def write_folder(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes all arrays to graphs.npz, and to graphs.json their dtypes and shapes, the names of the classes and the set's header. The card
    is not written here."""
    write_arrays(parcel, folder / ARRAYS)
    arrays = {name: {"dtype": array.dtype.name, "shape": array.shape} for name, array in {**parcel.numbers(), **parcel.whole}.items()}
    facts = {"arrays": arrays, "classes": parcel.classes, "set": json.loads(parcel.header)}
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_parquet(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes a parquet file with a graph a row, its nodes counted from 0, and all arrays to graphs.npz. The card is not written here."""
    import pyarrow
    from pyarrow import parquet

    batch, edges, n = parcel.whole["batch"], parcel.whole["edge_index"], len(parcel.label)
    nodes, ends = np.searchsorted(batch, np.arange(n + 1)), np.searchsorted(batch[edges[0]], np.arange(n + 1))
    cuts = list(zip(nodes, nodes[1:], ends, ends[1:], strict=False))
    columns = {
        "edge_index": [(edges[:, low:high] - first).tolist() for first, _, low, high in cuts],
        "edge_attr": [parcel.whole["edge_attr"][low:high, None].tolist() for _, _, low, high in cuts],
        "node_feat": [parcel.whole["x"][first:last].tolist() for first, last, _, _ in cuts],
        "num_nodes": np.diff(nodes).tolist(),
        "label": parcel.label.tolist(),
        "share": parcel.rows["share"].tolist(),
    }
    lists = pyarrow.list_(pyarrow.list_(pyarrow.int64()))
    kinds = {"edge_index": lists, "edge_attr": lists, "num_nodes": pyarrow.int64(), "label": pyarrow.int64(), "share": pyarrow.float32()}
    kinds["node_feat"] = pyarrow.list_(pyarrow.list_(pyarrow.float32())) if parcel.whole["x"].dtype == np.float32 else lists
    (folder / "data").mkdir()
    parquet.write_table(pyarrow.table({name: pyarrow.array(held, kinds[name]) for name, held in columns.items()}), folder / ROWS)
    write_arrays(parcel, folder / ARRAYS)


NUMPY = f'import numpy\n\nfile = numpy.load("{ARRAYS}", allow_pickle=False)\nlabel, share = file["label"], file["share"]'
GIVE = (
    'edges, graph = file["edge_index"], file["batch"]\ndata = []\n'
    "for g in range(len(label)):\n"
    "    node = (graph == g).nonzero()[0]\n"
    "    held = edges[:, graph[edges[0]] == g] - node[0]\n"
)
EACH = (
    GIVE + '    data.append({"x": torch.from_numpy(file["x"][node]), "edge_index": torch.from_numpy(held), "y": int(label[g])})\n'
    "# torch_geometric.data.Data(**data[0]) makes a graph of PyTorch Geometric of it"
)
ROW = GIVE + '    data.append({"node_feat": file["x"][node].tolist(), "edge_index": held.tolist(), "label": int(label[g])})\n'
LEVELS = Format(
    f"all arrays in {ARRAYS}, and in {FACTS} what they are",
    write_folder,
    lambda path: read_arrays(path / ARRAYS),
    lambda path: (path / ARRAYS).is_file() and (path / FACTS).is_file(),
    (("numpy", NUMPY),),
)
FOLDER = LEVELS._replace(
    usage=(
        ("numpy", f'{NUMPY}\nx, edge_index, batch = file["x"], file["edge_index"], file["batch"]'),
        ("PyTorch", f"import torch\n{NUMPY}\n{EACH}"),
        ("datasets", f"import datasets\n{NUMPY}\n{ROW}rows = datasets.Dataset.from_list(data)"),
    )
)
PARQUET = Format(
    f"a parquet file with a graph a row, and all arrays in {ARRAYS}",
    write_parquet,
    lambda path: read_arrays(path / ARRAYS),
    lambda path: (path / ARRAYS).is_file() and (path / ROWS).is_file(),
    (
        ("numpy", f'import pyarrow.parquet\n\ntable = pyarrow.parquet.read_table("{ROWS}")\nlabel = table["label"].to_numpy()'),
        (
            "PyTorch",
            "import os\nimport datasets, torch\n\n"
            'rows = datasets.load_dataset(os.getcwd(), split="train")\n'
            "data = [\n"
            '    {"x": torch.tensor(row["node_feat"]), "edge_index": torch.tensor(row["edge_index"]), "y": row["label"]}\n'
            "    for row in rows\n"
            "]",
        ),
        ("datasets", 'import os\nimport datasets\n\ndata = datasets.load_dataset(os.getcwd(), split="train")'),
    ),
    files="data/train-*.parquet",
)
FILE = f'import torch\n\nfile = torch.load("{torch_file.FILE}", weights_only=True)\n'
TENSORS = torch_file.FORMAT._replace(
    usage=(
        ("numpy", FILE + 'x, edge_index, label = (file[name].numpy() for name in ("x", "edge_index", "label"))'),
        (
            "PyTorch",
            FILE + 'x, edge_index, batch, label = (file[name] for name in ("x", "edge_index", "batch", "label"))\n'
            "# torch_geometric.data.Batch(x=x, edge_index=edge_index, batch=batch) is one batch of all graphs",
        ),
        (
            "datasets",
            f"import datasets\n{FILE}file = {{name: value.numpy() for name, value in file.items() if hasattr(value, 'numpy')}}\n"
            f'label = file["label"]\n{ROW}rows = datasets.Dataset.from_list(data)',
        ),
    ),
)


def formats(parcel: Parcel | None) -> dict[str, Format]:
    """The formats of a set of graphs, by name. A set that holds no plain graphs leaves as arrays alone, by `folder`. For None all
    formats."""
    if parcel is not None and "edge_index" not in parcel.whole:
        return {"folder": LEVELS}
    return {"folder": FOLDER, "torch": TENSORS, "parquet": PARQUET}
