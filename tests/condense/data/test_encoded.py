"""Class folders: what they give, and what broken or hostile pictures are refused before they are decoded."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from condense.data.load import load_data
from condense.data.readers import encoded as pictures
from synth.errors import BadInput
from tests.support.data_files import class_folders, little_memory, refused


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_folder_keeps_pixels_and_sorts_classes(tmp_path, mode):
    made = class_folders(tmp_path, mode=mode)
    (tmp_path / "train" / ".DS_Store").touch()
    (tmp_path / "train" / "a" / "Thumbs.db").touch()
    source = load_data(f"folder:{tmp_path}", validation=0.0).source
    assert source.classes == ("a", "b", "c") and source.train.x.shape == (9, 6, 8, 3 if mode == "RGB" else 1)
    for label, name in enumerate("abc"):
        for part, x, y in (("train", source.train.x, source.train.y), ("test", source.test.x, source.test.y)):
            np.testing.assert_array_equal(x[y == label].squeeze(), made[part, name])


def test_a_limit_decodes_no_more_than_it_takes(tmp_path, monkeypatch):
    """And takes what it takes of other data: two of each class, of whose third pictures nothing is seen."""
    class_folders(tmp_path)
    rows = load_data(f"folder:{tmp_path}", validation=0.0).source.train.x[[0, 1, 3, 4, 6, 7]]
    for name in "abc":
        (tmp_path / "train" / name / "2.png").write_bytes(b"torn")
    monkeypatch.setattr(pictures, "LARGEST", 9 * rows[0].nbytes)  # the test pictures fit too
    np.testing.assert_array_equal(load_data(f"folder:{tmp_path}?limit=6", validation=0.0).source.train.x, rows)
    monkeypatch.setattr(pictures, "LARGEST", 6 * rows[0].nbytes - 1)
    with pytest.raises(BadInput, match=r"6 pictures of \(6, 8, 3\) take more than .*limit=N or fewer"):
        load_data(f"folder:{tmp_path}?limit=6")


def test_folder_options_and_val(tmp_path):
    class_folders(tmp_path, size=(16, 8), suffix="jpg")
    (tmp_path / "test").rename(tmp_path / "val")
    assert load_data(f"folder:{tmp_path}?grey=true").image == (8, 16, 1)
    data = load_data(f"folder:{tmp_path}?size=4")
    assert data.image == (4, 4, 3) and data.flips
    flat = np.repeat(np.repeat([[10, 200]], 32, 1), 32, 0)  # left half dark, right half bright
    Image.fromarray(np.hstack([np.zeros((32, 16)), flat, np.full((32, 16), 255)]).astype(np.uint8)).save(tmp_path / "wide.png")
    small = pictures.decode(tmp_path / "wide.png", "x", size=16)
    np.testing.assert_allclose(small[:, :7, 0], 10, atol=12)  # the sides are cut off, not squeezed in
    np.testing.assert_allclose(small[:, 9:, 0], 200, atol=12)


def test_folder_links_must_stay_inside(tmp_path):
    class_folders(tmp_path / "d")
    inside, outside = tmp_path / "d" / "train" / "a" / "9.png", tmp_path / "secret.png"
    inside.symlink_to(tmp_path / "d" / "train" / "a" / "0.png")
    assert len(load_data(f"folder:{tmp_path}/d", validation=0.0).train.y) == 10
    (tmp_path / "link").symlink_to(tmp_path / "d")
    assert len(load_data(f"folder:{tmp_path}/link", validation=0.0).train.y) == 10
    Image.new("RGB", (8, 6)).save(outside)
    inside.unlink()
    inside.symlink_to(outside)
    refused(f"folder:{tmp_path}/d", f"{inside} is a link that leaves {tmp_path}/d; copy the file there instead")
    inside.unlink()
    (tmp_path / "e").mkdir()
    for link in (tmp_path / "d" / "train" / "z", tmp_path / "d" / "val"):
        link.symlink_to(tmp_path / "e")
        refused(f"folder:{tmp_path}/d", f"{link} is a link that leaves")
        link.unlink()


def test_links_that_lead_to_themselves_and_names_that_are_no_text_are_refused(tmp_path):
    class_folders(tmp_path)
    loop = tmp_path / "train" / "a" / "9.png"
    loop.symlink_to(loop)
    refused(f"folder:{tmp_path}", f"{loop} is a link that leads back to itself")
    loop.unlink()
    for part in ("train", "test"):
        os.rename(tmp_path / part / "a", os.fsencode(tmp_path / part) + b"/caf\xe9")
    refused(f"folder:{tmp_path}", "caf\\udce9' is not UTF-8; rename it")
    refused("folder:~nobody-of-this-name/x", "cannot use ~nobody-of-this-name/x")


def png(width, height):
    """A tiny PNG that declares any size."""
    chunks = ((b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def test_pictures_that_declare_too_much_are_not_decoded(tmp_path):
    class_folders(tmp_path)
    path = tmp_path / "train" / "a" / "1.png"
    for width, height, words in ((8200, 8200, "has 8200x8200 pixels, more than"), (60_000, 60_000, "no whole PNG or JPEG")):
        path.write_bytes(png(width, height))
        with little_memory():
            refused(f"folder:{tmp_path}?size=8", path, words)


def test_broken_pictures_are_named(tmp_path):
    class_folders(tmp_path)
    path = tmp_path / "train" / "b" / "2.png"
    good = path.read_bytes()
    for broken in (good[:60], good[:-30], b"", b"text", good[:40] + b"\xff" * 8 + good[48:], b"GIF89a" + bytes(30)):
        path.write_bytes(broken)
        refused(f"folder:{tmp_path}", path, "no whole PNG or JPEG", "replace or remove it")
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(path)
    refused(f"folder:{tmp_path}", path, "convert it to 8-bit grey or colour")
    path.unlink()
    os.mkfifo(path)
    refused(f"folder:{tmp_path}", f"{path} is not an ordinary file")


def test_wrong_layouts_name_the_place(tmp_path):
    refused(f"folder:{tmp_path}/none", f"there is no folder {tmp_path}/none", "train/CLASS/*.png")
    (tmp_path / "d").mkdir()
    refused(f"folder:{tmp_path}/d", "has no folder train")
    class_folders(tmp_path / "d")
    (tmp_path / "d" / "test" / "c").rename(tmp_path / "d" / "test" / "x")
    refused(f"folder:{tmp_path}/d", "class folder 'c' is not in both train and test")
    (tmp_path / "d" / "test" / "x").rename(tmp_path / "d" / "test" / "c")
    note = tmp_path / "d" / "train" / "c" / "note.txt"
    note.touch()
    refused(f"folder:{tmp_path}/d", f"{note} is not a picture; class folders hold only .png, .jpg, .jpeg")
    note.rename(tmp_path / "d" / "train" / "note.txt")
    refused(f"folder:{tmp_path}/d", "note.txt is not a class folder")
    (tmp_path / "d" / "train" / "note.txt").unlink()
    odd = tmp_path / "d" / "train" / "c" / "2.png"
    Image.new("RGB", (9, 6)).save(odd)
    refused(f"folder:{tmp_path}/d", f"{odd} is 6x9x3 but those before it 6x8x3; add ?size=N")
    Image.new("L", (8, 6)).save(odd)
    refused(f"folder:{tmp_path}/d", f"{odd} is 6x8x1 but those before it 6x8x3; add ?grey=true")
    odd.unlink()
    (odd.parent / "1.png").unlink()
    refused(f"folder:{tmp_path}/d", "class 2 ('c') of 3 has 1 training images")
