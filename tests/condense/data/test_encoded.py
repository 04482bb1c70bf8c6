"""Class folders: what they give, and what broken or hostile pictures are refused before they are decoded."""

import io
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from condense.data.load import load_data
from condense.data.readers import encoded as pictures
from synth.errors import BadInput
from tests.support.data_files import MIB, class_folders, little_memory, refused
from tests.support.ways import NAMES, M, N, imagenet, tiny_imagenet


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


def test_a_link_above_the_parts_of_imagenet_must_stay_inside(tmp_path):
    imagenet(tmp_path / "outside")
    place = tmp_path / "a" / "ILSVRC" / "Data" / "CLS-LOC"
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "outside" / "ILSVRC" / "Data" / "CLS-LOC")
    refused(f"folder:{tmp_path}/a", f"{place} is a link that leaves {tmp_path}/a")


def test_a_folder_around_imagenet_is_looked_through(tmp_path):
    imagenet(tmp_path / "unpacked")
    assert len(load_data(f"folder:{tmp_path}", validation=0.0).source.test.y) == M


def test_what_is_missing_of_imagenets_validation_is_said(tmp_path, capsys):
    """Pictures that its table names, a few of them at its head or many of them, and the table itself; not the test without classes."""
    spec, table, val = imagenet(tmp_path), tmp_path / "LOC_val_solution.csv", tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    rows = table.read_text().splitlines()
    first = val / f"{rows[1].partition(',')[0]}.PNG"
    first.rename(tmp_path / "away.PNG")
    refused(spec, f"line 2 of LOC_val_solution.csv names {first.stem}, which is not in {val}")
    table.write_text("\n".join([rows[0], f"{'x' * 300},ape 1 2 5 6", *rows[2:]]))
    refused(spec, f"line 2 of LOC_val_solution.csv names {'x' * 100}, which is not in {val}")
    (tmp_path / "away.PNG").rename(first)
    table.unlink()
    refused(spec, "there is no test split; add ?test=0.2")
    left = "test and val are left out: nothing says the classes of its pictures; LOC_val_solution.csv beside ILSVRC would"
    assert left in capsys.readouterr().err
    shutil.rmtree(val)
    table.write_text("\n".join(rows))
    assert len(load_data(f"{spec}?test=0.25", validation=0.0).source.test.y) == N // 4  # drawn, as the test that lies there says nothing
    refused(f"{spec}/ILSVRC", f"name the folder above, {tmp_path}, which holds ILSVRC and LOC_val_solution.csv")


def test_rows_of_a_table_beside_the_parts_that_name_no_picture_are_counted(tmp_path, capsys):
    """Those of the other part count as there."""
    for part, count in (("train", 6), ("test", 4)):
        (tmp_path / part).mkdir()
        for at in range(count):
            Image.new("L", (4, 4), 9 * at).save(tmp_path / part / f"{part}{at}.png")
    rows = [f"{part}{at}.png,{'ab'[at % 2]}" for part, count in (("train", 8), ("test", 4)) for at in range(count)]  # of the test last
    (tmp_path / "labels.csv").write_text("\n".join(["file_name,label", *rows]))
    shutil.copy(tmp_path / "train" / "train1.png", tmp_path / "train" / "train1.bmp")  # a name without ending means the png
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("train1.png", "train1"))
    train = load_data(f"folder:{tmp_path}", validation=0.0).source.train
    assert train.shape[0] == 6
    assert "1 of the pictures in" in capsys.readouterr().err
    (tmp_path / "train" / "train1.bmp").unlink()
    assert len(load_data(f"folder:{tmp_path}", validation=0.0).train.y) == 6
    assert "2 of the rows of labels.csv name no picture, such as line 8 with train6.png" in capsys.readouterr().err


def test_pictures_without_a_row_and_slips_of_a_table_are_said(tmp_path, capsys):
    """Of Tiny ImageNet's validation, and of two folders beside a table of one."""
    spec, table = tiny_imagenet(tmp_path / "tiny"), tmp_path / "tiny" / "val" / "val_annotations.txt"
    rows = table.read_text().splitlines()
    table.write_text("\n".join(rows[:-2]))
    assert len(load_data(spec, validation=0.0).source.test.y) == M - 2
    assert f"2 of the pictures in {table.parent} have no row in val_annotations.txt, and are left out" in capsys.readouterr().err
    table.write_text("\n".join([*rows[:-1], rows[-1].replace(".png", ".jpeg")]))
    refused(spec, f"line {M} of val_annotations.txt names val_{M - 1}.jpeg, which is not in {table.parent}")
    table.write_text("\n".join(row.replace(".png", ".jpeg") for row in rows))
    refused(spec, f"line 1 of val_annotations.txt names val_0.jpeg, which is not in {table.parent}")
    for name in ("images", "masks"):
        (tmp_path / "two" / name).mkdir(parents=True)
        for at in range(8):
            Image.new("L", (4, 4), 9 * at).save(tmp_path / "two" / name / f"{at}.png")
    (tmp_path / "two" / "labels.csv").write_text("file_name,label\n" + "".join(f"{at}.png,{'ab'[at % 2]}\n" for at in range(8)))
    assert load_data(f"folder:{tmp_path}/two?test=0.25", validation=0.0).classes == ("images", "masks")
    assert "labels.csv is not read: class folders images, masks say the classes" in capsys.readouterr().err


def test_a_table_names_pictures_in_folders_below_those_of_the_pictures(tmp_path):
    for at in range(8):
        place = tmp_path / "images" / "xy"[at % 2] / f"{at}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 9 * at).save(place)
    rows = [f"{'xy'[at % 2]}/{at}.png,{'ab'[at % 2]}" for at in range(8)]
    (tmp_path / "labels.csv").write_text("\n".join(["file_name,label", *rows]))
    assert load_data(f"folder:{tmp_path}?test=0.25", validation=0.0).classes == ("a", "b")


def test_train_and_test_have_tables_of_their_own_or_names_of_their_own(tmp_path):
    """train.csv says nothing of a test whose pictures are called alike, and a row names a picture of one part."""
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for at in range(6):
            Image.new("L", (4, 4), 9 * at).save(tmp_path / part / f"{at}.png")
    rows = {"train.csv": "ababab", "test.csv": "bababa"}
    for name, labels in rows.items():
        (tmp_path / name).write_text("file,label\n" + "".join(f"{at}.png,{label}\n" for at, label in enumerate(labels)))
    source = load_data(f"folder:{tmp_path}", validation=0.0).source
    for part, kept in ((source.train, [0, 2, 4, 1, 3, 5]), (source.test, [1, 3, 5, 0, 2, 4])):  # by class
        assert part.take(np.arange(6))[:, 0, 0, 0].tolist() == [9 * at for at in kept] and part.y.tolist() == [0, 0, 0, 1, 1, 1]
    (tmp_path / "test.csv").unlink()
    assert len(load_data(f"folder:{tmp_path}?test=0.34", validation=0.0).train.y) == 4  # drawn of train: nothing tells of test
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    refused(f"folder:{tmp_path}", "line 2 of labels.csv names 0.png, which is in train and in test; write train/0.png")


def test_a_picture_is_named_once_however_it_is_spelled(tmp_path, capsys):
    for at in range(8):
        (tmp_path / "sub").mkdir(exist_ok=True)
        Image.new("L", (4, 4), 9 * at).save(tmp_path / "sub" / f"{at}.png")
    rows = [f"sub/{at}.png,{'ab'[at % 2]}" for at in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    assert len(load_data(f"folder:{tmp_path}?test=0.34", validation=0.0).train.y) == 4
    assert "2 of the pictures in" in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows, "sub/../sub/0.png,b"]))
    refused(f"folder:{tmp_path}?test=0.34", "line 8 of labels.csv: sub/../sub/0.png is named twice")


def test_one_class_folder_is_not_read_by_the_table_of_another_part(tmp_path):
    spec = imagenet(tmp_path)
    for name in NAMES[1:]:
        shutil.rmtree(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "train" / name)
    refused(spec, "class folder 'bee' is not in both train and test")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", b"a,b\n1,2\n"),
        ("val_annotations.txt", b""),
        ("labels.csv", b""),
        ("labels.csv", b"\xff\xfe,\x00\n"),
        ("LOC_val_solution.csv", b"ImageId,PredictionString\nnot_there,n01 0 0 1 1\n"),
    ],
)
def test_a_table_of_something_else_beside_class_folders_is_let_be(tmp_path, name, content):
    """Even where a test without classes lies there, for which tables are looked at."""
    class_folders(tmp_path)
    (tmp_path / "test").rename(tmp_path / "val")
    shutil.copytree(tmp_path / "train" / "a", tmp_path / "test")
    (tmp_path / name).write_bytes(content)
    assert len(load_data(f"folder:{tmp_path}", validation=0.0).source.test.y) == 9


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
    for width, height, words in ((8200, 8200, "has 8200x8200 pixels, more than"), (60_000, 60_000, "no whole picture")):
        path.write_bytes(png(width, height))
        with little_memory():
            refused(f"folder:{tmp_path}?size=8", path, words)


def test_broken_pictures_are_named(tmp_path):
    class_folders(tmp_path)
    path = tmp_path / "train" / "b" / "2.png"
    good = path.read_bytes()
    for broken in (good[:60], good[:-30], b"", b"text", good[:40] + b"\xff" * 8 + good[48:], b"GIF89a" + bytes(30)):
        path.write_bytes(broken)
        refused(f"folder:{tmp_path}", path, "no whole picture", "replace or remove it")
    path.unlink()
    Image.fromarray(np.zeros((6, 8), np.float32)).save(path.with_suffix(".tif"))
    refused(f"folder:{tmp_path}", path.with_suffix(".tif"), "has pixels of kind 'F'; convert it to 8-bit grey or colour")
    path.with_suffix(".tif").unlink()
    os.mkfifo(path)
    refused(f"folder:{tmp_path}", f"{path} is not an ordinary file")


def test_wrong_layouts_name_the_place(tmp_path):
    refused(f"folder:{tmp_path}/none", f"there is no folder {tmp_path}/none", "train/CLASS/*.png")
    (tmp_path / "d").mkdir()
    refused(f"folder:{tmp_path}/d", "holds no class folders")
    class_folders(tmp_path / "d")
    (tmp_path / "d" / "test" / "c").rename(tmp_path / "d" / "test" / "x")
    refused(f"folder:{tmp_path}/d", "class folder 'c' is not in both train and test")
    (tmp_path / "d" / "test" / "x").rename(tmp_path / "d" / "test" / "c")
    odd = tmp_path / "d" / "train" / "c" / "2.png"
    Image.new("RGB", (9, 6)).save(odd)
    refused(f"folder:{tmp_path}/d", f"{odd} is 6x9x3 but those before it 6x8x3; add ?size=N")
    odd.unlink()
    (odd.parent / "1.png").unlink()
    refused(f"folder:{tmp_path}/d", "class 2 ('c') of 3 has 1 training images")


def decoded(picture, *, form="PNG", **how):
    held = io.BytesIO()
    picture.save(held, form, **how)
    return pictures.decode(io.BytesIO(held.getvalue()), "x")


def test_a_picture_is_turned_as_its_orientation_says():
    """Every orientation, in every format that has one: what is stored turned comes out upright."""
    upright = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }
    for tag, pixels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = tag
        for form, how in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
            found = decoded(Image.fromarray(np.ascontiguousarray(pixels)), form=form, exif=exif, **how)
            np.testing.assert_array_equal(found, upright, err_msg=f"{form} {tag}")
        wide = Image.fromarray(np.ascontiguousarray(np.kron(pixels, np.ones((16, 16, 1), np.uint8))))
        assert decoded(wide, form="JPEG", exif=exif, quality=95).shape == (96, 64, 3)
    assert decoded(Image.fromarray(upright), exif=b"Exif\0\0MM\0*\xff\xff").shape == (6, 4, 3), "what stands beside the pixels breaks none"


def test_colours_of_every_kind_become_rgb_or_grey():
    rgb = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    picture, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    np.testing.assert_array_equal(decoded(picture.convert("RGBA")), rgb)
    np.testing.assert_array_equal(decoded(grey.convert("LA"))[..., 0], rgb[..., 0])
    np.testing.assert_array_equal(decoded(grey.convert("1").convert("1"))[..., 0] % 255, 0)
    palette = picture.quantize(8)
    np.testing.assert_array_equal(decoded(palette), np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(decoded(palette, transparency=bytes(8)), np.asarray(palette.convert("RGB")))
    plain = Image.new("CMYK", (8, 6), (0, 255, 255, 0))
    assert decoded(plain, form="JPEG", quality=95)[3, 3, 0] > 200 > 60 > decoded(plain, form="JPEG", quality=95)[3, 3, 2]
    deep = (rgb[..., 0].astype(np.uint16) << 8) + 77
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decoded(Image.fromarray(deep), form=form)[..., 0], rgb[..., 0])
    with pytest.raises(BadInput, match="x has pixels from -5 to -5; convert it to 8-bit"):
        decoded(Image.fromarray(np.full((4, 4), -5, np.int32)), form="TIFF")


def test_a_long_text_makes_no_picture_bad():
    about, upright = PngImagePlugin.PngInfo(), np.arange(48, dtype=np.uint8).reshape(6, 8)
    about.add_text("Comment", "x" * (2 * MIB), zip=True)
    np.testing.assert_array_equal(decoded(Image.fromarray(upright), pnginfo=about)[..., 0], upright)


def test_grey_pictures_among_coloured_ones_are_coloured(tmp_path, capsys):
    """In train before and behind the first coloured one, in the test alone, and where all of train are grey."""
    made = class_folders(tmp_path)
    for name in ("a/0", "b/1"):
        Image.fromarray(made["train", name[0]][int(name[2])][..., 0]).save(tmp_path / "train" / f"{name}.png")
    source = load_data(f"folder:{tmp_path}", validation=0).source
    for row, (name, at) in enumerate((name, at) for name in "abc" for at in range(3)):
        pixels = made["train", name][at]
        want = np.repeat(pixels[..., :1], 3, -1) if (name, at) in (("a", 0), ("b", 1)) else pixels
        np.testing.assert_array_equal(source.train.take(np.array([row]))[0], want)
    for name in "abc":
        for at in range(3):
            Image.fromarray(made["train", name][at][..., 0]).save(tmp_path / "train" / name / f"{at}.png")
    source = load_data(f"folder:{tmp_path}", validation=0).source
    assert source.shape == (6, 8, 3)
    np.testing.assert_array_equal(source.train.take(np.array([4]))[0], np.repeat(made["train", "b"][1][..., :1], 3, -1))
    assert load_data(f"folder:{tmp_path}?grey=true").image == (6, 8, 1)


def test_sixteen_bits_are_said(tmp_path, capsys):
    class_folders(tmp_path, mode="L")
    Image.fromarray(np.full((6, 8), 4096, np.uint16)).save(tmp_path / "train" / "a" / "0.png")
    source = load_data(f"folder:{tmp_path}", validation=0).source
    assert (source.train.take(np.array([0])) == 16).all()
    assert "1 of 9 pictures have 16 bits, of which the upper 8 are read" in capsys.readouterr().err


def test_test_pictures_are_scaled_and_their_centre_cut_as_the_papers_do_it(tmp_path):
    """A bright frame of a sixteenth of the side lies outside of the centre of 14 of 16; training pictures keep it."""
    for part in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(2):
                frame = np.full((128, 128, 3), 250, np.uint8)
                frame[8:-8, 8:-8] = 20
                Image.fromarray(frame).save(tmp_path / part / name / f"{number}.png")
    data = load_data(f"folder:{tmp_path}?size=14&scale=16", validation=0)
    streamed = load_data(f"folder:{tmp_path}?size=14&scale=16&stream=true", validation=0)
    assert data.source.test.x.shape[1:] == data.source.train.x.shape[1:] == (14, 14, 3)
    assert data.source.test.x[:, 3:-3, 3:-3].max() < 30 and data.source.test.x.max() < 100 and data.source.train.x.max() > 200
    np.testing.assert_array_equal(streamed.source.test.take(np.arange(4)), data.source.test.x)
    with pytest.raises(BadInput, match="scale=16 needs size=N with N at most that"):
        load_data(f"folder:{tmp_path}?scale=16")


def test_random_parts_lie_in_the_picture_and_are_as_large_as_published():
    """Of a picture of any shape; where none fits, the middle."""
    for width, height in ((500, 375), (64, 64), (30, 90)):
        boxes = np.array([pictures.random_box(np.random.default_rng(seed), width, height) for seed in range(4000)])
        w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
        share, ratio = w * h / (width * height), w / h
        assert 0.07 < share.min() < 0.1 and share.max() <= 1 and 0.7 < ratio.min() < 0.8 and 1.2 < ratio.max() < 1.42
    square = np.array([pictures.random_box(np.random.default_rng(seed), 1000, 1000) for seed in range(4000)])
    share = (square[:, 2] - square[:, 0]) * (square[:, 3] - square[:, 1]) / 1e6
    assert abs(share[share < 0.75].mean() - (0.08 + 0.75) / 2) < 0.01, "uniform, where every ratio fits"
    assert pictures.random_box(np.random.default_rng(0), 1000, 10) == (493, 0, 506, 10)


def test_pictures_give_the_parts_that_their_seeds_say(tmp_path):
    """A picture whose pixels are their own places tells which part was scaled."""
    across, down = np.meshgrid(np.arange(200), np.arange(120))
    for part in ("train", "test"):
        for name in "ab":
            (tmp_path / part / name).mkdir(parents=True)
            for at in range(3):
                Image.fromarray(np.stack([across, down, 0 * down], 2).astype(np.uint8)).save(tmp_path / part / name / f"{at}.png")
    train = load_data(f"folder:{tmp_path}?size=16&crops=true", validation=0.0).train
    seeds = np.array([5, 6, 5, 7])
    found = train.take_crops(np.array([0, 1, 2, 0]), seeds)
    assert found.shape == (4, 16, 16, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], found[2])
    for seed, shown in zip(seeds, found, strict=True):
        left, top, right, bottom = pictures.random_box(np.random.default_rng(seed), 200, 120)
        centres = (np.arange(16) + 0.5) / 16
        np.testing.assert_allclose(shown[8, :, 0], left + (right - left) * centres - 0.5, atol=(right - left) / 32 + 1)
        np.testing.assert_allclose(shown[:, 8, 1], top + (bottom - top) * centres - 0.5, atol=(bottom - top) / 32 + 1)
    np.testing.assert_array_equal(
        train.take(np.array([0])).x, load_data(f"folder:{tmp_path}?size=16", validation=0.0).train.take(np.array([0])).x
    )
    for wrong in ("crops=true", "size=16&crops=true&stream=false", "size=16&crops=true&normalise=zca"):
        refused(f"folder:{tmp_path}?{wrong}", "crops=true is for pictures that stay in their files")
