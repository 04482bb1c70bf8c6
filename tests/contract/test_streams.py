"""Rows that stay in their files give the results of rows in memory, bit for bit: what is chosen, learned, trained and scored."""

import jax
import numpy as np
import pytest
from PIL import Image

import condense
from condense.data import digests
from condense.data.images import limited
from condense.data.load import load_data
from condense.data.prepare import prepare
from condense.data.readers import encoded
from condense.data.readers.scanned import Pictures
from condense.experts import load_experts, train_experts
from condense.teachers.self_supervised import train_ssl_teacher
from condense.teachers.train import train_teachers
from synth.base import take_all
from synth.files.format import load_set
from synth.training import stream
from tests.support.data_files import class_folders

NET, TAUGHT = "mlp:width=8", "convnet:width=4,depth=1,norm=batch"


@pytest.fixture
def both(tmp_path, monkeypatch):
    """The same 420 + 60 images of 4x4x1 in three classes, held in memory and left in the file; pieces are small."""
    rng = np.random.default_rng(0)
    y = {part: rng.permutation(np.arange(n) % 3) for part, n in (("train", 420), ("test", 60))}
    arrays = {
        f"x_{part}": (60 * index[:, None, None, None] + rng.integers(0, 90, (len(index), 4, 4, 1))).astype(np.uint8)
        for part, index in y.items()
    }
    np.savez(tmp_path / "toy.npz", **arrays, **{f"y_{part}": index for part, index in y.items()})
    monkeypatch.setattr(stream, "PIECE", 3 * 32 * 64)
    found = [load_data(f"npz:{tmp_path}/toy.npz?stream={word}") for word in ("false", "true")]
    assert [data.train.in_memory for data in found] == [True, False]
    return found


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_data_are_the_same_but_for_the_digest(both, tmp_path):
    here, there = both
    same(here.preprocess, there.preprocess)
    same(take_all(here.train), take_all(there.train))
    same(take_all(here.test), take_all(there.test))
    assert here.digest != there.digest and (tmp_path / ".toy.npz.condense.npz").is_file()


def test_a_folder_of_npy_files_streams_what_an_archive_does(both, tmp_path):
    (tmp_path / "apart").mkdir()
    with np.load(tmp_path / "toy.npz") as arrays:
        for name in arrays:
            np.save(tmp_path / "apart" / f"{name}.npy", arrays[name])
    here, there = (load_data(f"npz:{tmp_path}/apart?stream={word}") for word in ("false", "true"))
    assert here.digest == both[0].digest and here.train.in_memory and not there.train.in_memory
    same(take_all(there.train), take_all(both[1].train))
    assert load_data(f"{tmp_path}/apart").digest == here.digest  # a path alone shows what lies there
    (tmp_path / "apart" / "Notes-1.npy").symlink_to(tmp_path / "nowhere")
    assert load_data(there.spec).digest == there.digest and (tmp_path / "apart" / ".condense.npz").is_file()


def test_rows_of_any_number_of_bytes_stay_in_their_files(tmp_path, capsys, monkeypatch):
    """17 GiB of them that no disk holds: zeros that were never written."""
    monkeypatch.setenv("CONDENSE_MEMORY", "100e6")
    n = (17 << 30) // (128 * 128 * 3)
    with (tmp_path / "x_train.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (n, 128, 128, 3)})
        file.truncate(file.tell() + n * 128 * 128 * 3)
    for name, array in {"y_train": np.arange(n) % 2, "x_test": np.zeros((2, 128, 128, 3), np.uint8), "y_test": np.arange(2)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    data = load_data(f"npz:{tmp_path}?normalise=imagenet")
    assert data.train.shape[0] + data.val.shape[0] == n and not data.train.in_memory
    assert "rows stay in their files, as they would take 91.3 GB of memory" in capsys.readouterr().err
    with pytest.raises(condense.BadInput, match=r"would take 91\.3 GB of memory"):
        load_data(f"npz:{tmp_path}?stream=false")


def test_a_digest_is_kept_and_taken_again_where_files_were_changed(both, tmp_path, monkeypatch, capsys):
    spec, calls, take = both[1].spec, [], digests.sampled_digest
    monkeypatch.setattr(digests, "sampled_digest", lambda *args: calls.append(1) or take(*args))
    assert load_data(spec).digest == both[1].digest and not calls
    with np.load(tmp_path / "toy.npz") as held:
        arrays = dict(held)
    arrays["x_train"][7, 0, 0, 0] += 1
    np.savez(tmp_path / "toy.npz", **arrays)
    changed = load_data(spec)
    assert calls and changed.digest != both[1].digest
    assert "files were changed since .toy.npz.condense.npz was written" in capsys.readouterr().err
    arrays["y_train"] = arrays["y_train"][::-1]
    np.savez(tmp_path / "toy.npz", **arrays)
    assert load_data(spec).digest != changed.digest


def test_labels_that_a_table_says_are_part_of_the_digest(tmp_path):
    """Other labels of the same pictures in the same order, and other names of the classes."""
    class_folders(tmp_path)
    for part in ("train", "test"):
        pictures = sorted((tmp_path / part).glob("*/*.png"))
        for at, picture in enumerate(pictures):
            picture.rename(tmp_path / part / f"{at}.png")
        for folder in "abc":
            (tmp_path / part / folder).rmdir()
        rows = [f"{at}.png,{'abc'[3 * at // len(pictures)]}" for at in range(len(pictures))]
        (tmp_path / part / "labels.csv").write_text("\n".join(["file,label", *rows]))
    tables, digests = [tmp_path / part / "labels.csv" for part in ("test", "train")], [load_data(f"folder:{tmp_path}?stream=true").digest]
    tables[0].write_text(tables[0].read_text().replace(",b", ",c", 1))
    digests.append(load_data(f"folder:{tmp_path}?stream=true").digest)
    for table in tables:
        table.write_text(table.read_text().replace(",a", ",ab"))
    assert len({*digests, load_data(f"folder:{tmp_path}?stream=true").digest}) == 3


@pytest.mark.slow
def test_selection_and_matching_give_the_same_sets(both):
    for method, how in {"random": {}, "kmeans": {}, "herding": {"epochs": 1}, "dm": {"steps": 2, "batch": 5}}.items():
        made = [condense.distill(method, data, ipc=2, net=NET, **how) for data in both]
        same(*(synth.bare() for synth in made))


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "rounding"), [("sgd", 0), ("smooth", 1e-6)])
def test_experts_take_the_same_steps(both, tmp_path, recipe, rounding):
    """To the bit; with the gradient penalty of `smooth`, which is compiled otherwise, to the last digit."""
    folders = [tmp_path / "here", tmp_path / "there"]
    for data, out in zip(both, folders, strict=True):
        train_experts(data, count=2, epochs=2, out=out, net="convnet:width=4,depth=1", recipe=recipe, batch=32)
    found = [load_experts(out) for out in folders]
    for number in range(2):
        np.testing.assert_allclose(*(experts.read(number, range(3)) for experts in found), rtol=rounding, atol=rounding)
    assert found[0].header.accuracy == found[1].header.accuracy


@pytest.mark.slow
def test_teachers_collages_labels_and_scores_are_the_same(both, tmp_path, capsys):
    folders, sets = [tmp_path / "here", tmp_path / "there"], []
    for data, out in zip(both, folders, strict=True):
        train_teachers(data, out / "teachers", net=[TAUGHT], epochs=2, batch=32)
        sets.append(condense.distill("rded", data, ipc=1, teachers=str(out / "teachers"), out=out / "run", images=40))
    members = [dict(np.load(out / "teachers/members/0.npz")) for out in folders]
    same(*members)
    same(*(load_set(out / "run" / "set.npz").bare() for out in folders))
    recovered = [
        condense.distill("sre2l", data, ipc=1, teachers=str(out / "teachers"), steps=2) for data, out in zip(both, folders, strict=True)
    ]
    same(*(synth.bare() for synth in recovered))
    rows = [
        condense.evaluate(
            sets[0],
            data=data,
            net=NET,
            seeds=1,
            epochs=1,
            rows=["random", "kmeans", "herding", "full"],
            full_epochs=2,
            teachers=folders[0] / "teachers",
            embed=folders[0] / "teachers",
        )
        for data in both
    ]
    assert [report.accuracy for report in rows[0].reports] == [report.accuracy for report in rows[1].reports]
    same(*([report.spread and tuple(report.spread) for report in evaluation.reports] for evaluation in rows))
    assert [report.set_kind for report in rows[0].reports] == ["random", "kmeans", "herding", "full"]
    waits = [[report.waited is not None for report in evaluation.reports] for evaluation in rows]
    assert waits == [[False] * 4, [False, False, False, True]] and 0 <= rows[1].reports[-1].waited < rows[1].reports[-1].seconds
    told = capsys.readouterr().err
    assert told.count("on the full set: waited") == 1 and "s for data" in told


def test_a_teacher_is_the_same_where_a_piece_has_room_for_one_mini_batch_alone(tmp_path, monkeypatch):
    """Of seven an epoch, as of images that are large: compilers round a loop over one mini-batch otherwise."""
    rng, members, y = np.random.default_rng(0), [], np.arange(120) % 3
    x = (60 * y[:, None, None, None] + rng.integers(0, 90, (120, 16, 16, 3))).astype(np.uint8)
    np.savez(tmp_path / "toy.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    monkeypatch.setattr(stream, "PIECE", 1)
    for word in ("false", "true"):
        data = load_data(f"npz:{tmp_path}/toy.npz?stream={word}")
        assert len(data.train.y) == 108
        train_teachers(data, tmp_path / word, net=["convnet:norm=batch,width=8,depth=2"], epochs=3, batch=16)
        members.append(dict(np.load(tmp_path / word / "members" / "0.npz")))
    same(*members)


def test_teachers_see_other_parts_of_pictures_in_every_epoch(tmp_path, monkeypatch):
    """The same ones in pieces of any size: of twelve pictures whose classes are three greys, in batches of two."""
    rng, seen, take = np.random.default_rng(0), [], Pictures.take_crops
    for part in ("train", "test"):
        for label, name in enumerate("abc"):
            (tmp_path / part / name).mkdir(parents=True)
            for at in range(4):
                pixels = (20 + 90 * label + rng.integers(0, 30, (12, 16))).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{at}.png")
    data, found = load_data(f"folder:{tmp_path}?size=4&crops=true", validation=0.0), []
    monkeypatch.setattr(Pictures, "take_crops", lambda self, index, seeds: seen.append(out := take(self, index, seeds)) or out)
    for piece in (1 << 25, 1):
        monkeypatch.setattr(stream, "PIECE", piece)
        train_teachers(data, tmp_path / f"t{piece}", net=[TAUGHT], epochs=20, batch=2)
        found.append(dict(np.load(tmp_path / f"t{piece}" / "members" / "0.npz")))
    same(*found)
    parts = [[one.tobytes() for block in run for one in block] for run in (seen[:20], seen[20:])]
    assert len(seen) == 20 + 60 and sorted(parts[0]) == sorted(parts[1]) and len(parts[0]) == 20 * 12
    assert len({*parts[0]}) > 200, "parts of 4x4 pixels may be the same by chance"


@pytest.mark.slow
def test_teachers_without_labels_are_the_same(both, tmp_path):
    how = {"net": "mlp:width=4,norm=batch", "epochs": 2, "batch": 32, "projector": 8}
    here, there = (train_ssl_teacher(data, tmp_path / name, **how) for name, data in zip(("here", "there"), both, strict=True))
    assert here.digest == there.digest and here.about["probe"] == there.about["probe"]


def test_the_log_of_a_ranking_is_the_same(both, tmp_path):
    here, there = (
        condense.rank(data, tmp_path / name, net=NET, networks=1, epochs=2, batch=32, full_gradient=True)
        for name, data in zip(("here", "there"), both, strict=True)
    )
    for name in here.header.shapes():
        np.testing.assert_array_equal(here.read(name), there.read(name))


def test_a_prepared_set_streams_the_pictures_of_its_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "home"))
    class_folders(tmp_path / "src")
    prepare("mine", from_dir=tmp_path / "src")
    folder, held, streamed = (load_data(spec) for spec in (f"folder:{tmp_path}/src?stream=true", "mine", "mine?stream=true"))
    for data in (folder, streamed):
        same(take_all(held.train), take_all(data.train))
        same(take_all(held.test), take_all(data.test))
    assert streamed.digest not in (held.digest, folder.digest)
    assert load_data("mine?stream=true").digest == streamed.digest


def test_rows_stay_in_their_files_by_themselves_only_where_memory_cannot_hold_them(both, tmp_path, monkeypatch, capsys):
    spec = f"npz:{tmp_path}/toy.npz"
    assert load_data(spec).digest == both[0].digest and load_data(spec).train.in_memory
    monkeypatch.setenv("CONDENSE_MEMORY", str(480 * 16 * (1 + 4) - 1))
    assert load_data(spec).digest == both[1].digest and not load_data(spec).train.in_memory
    assert "rows stay in their files, as they would take 0.0384 MB of memory" in capsys.readouterr().err
    with pytest.raises(condense.BadInput, match="would take"):
        load_data(f"{spec}?stream=false")
    assert load_data(f"{spec}?limit=30").train.in_memory


def test_a_limited_prepared_set_decodes_the_rows_that_it_keeps(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "home"))
    class_folders(tmp_path / "src")
    prepare("mine", from_dir=tmp_path / "src")
    whole, decoded, decode = load_data("mine", validation=0).source, [], encoded.decode
    monkeypatch.setattr(encoded, "decode", lambda *args, **how: decoded.append(1) or decode(*args, **how))
    found = load_data("mine?limit=6", validation=0)
    assert len(decoded) == 6 + len(whole.test.y) < len(whole.train.y) + len(whole.test.y)
    assert found.digest == digests.rows_digest(limited(whole, 6))


def test_a_stopped_preparation_goes_on_with_the_shards_that_are_missing(tmp_path, monkeypatch):
    from condense.data.readers import shards
    from synth.errors import RunFailed

    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "home"))
    class_folders(tmp_path / "src")
    monkeypatch.setattr(shards, "ROWS", 4)
    whole, written = shards.write_shard, []

    def stops(shard, *args):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(shard.name)
        whole(shard, *args)

    monkeypatch.setattr(shards, "write_shard", stops)
    with pytest.raises(RunFailed, match="could not be written"):
        prepare("mine", from_dir=tmp_path / "src")
    first, written[:] = list(written), []
    monkeypatch.setattr(shards, "write_shard", lambda shard, *args: written.append(shard.name) or whole(shard, *args))
    place = prepare("mine", from_dir=tmp_path / "src")
    assert len(first) == 2 and not set(first) & set(written)
    same(take_all(load_data("mine").train), take_all(load_data(f"folder:{tmp_path}/src").train))
    assert [path.name for path in place.parent.iterdir()] == ["mine"]
