"""Readers, one source a file: a place becomes raw data, and nothing in it is trusted. A new reader is a file and a line in `READERS`.

May import `condense.data.rows`, `condense.data.named`, `runtime` and `synth`.
"""

from condense.data.readers import digits, folder, hf, idx, npz, parquet, smiles, table, tfds, toy_graphs, tu
from condense.data.readers.base import Reader

READERS: dict[str, Reader] = {
    reader.kind: reader
    for reader in (
        digits.READER,
        idx.READER,
        npz.READER,
        folder.READER,
        tfds.READER,
        tu.READER,
        smiles.READER,
        toy_graphs.READER,
        table.READER,
        parquet.READER,
        hf.READER,
    )
}
