"""The reader of folders of pictures: a folder a class, or a table of labels beside them; in train and test, or in one part."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from condense.data.readers.base import TRUTH, Reader, Spec, Word
from condense.data.readers.encoded import SIZES, SUFFIXES, Item, gather, numbers_of, same_channels
from condense.data.readers.listed import OF_ONE_PART, SOLUTION, TABLES, check_shared, find_table, find_tables, read_listing, tells_of
from condense.data.readers.raw import assemble
from condense.data.readers.scanned import scale_of, scanned
from condense.data.readers.source import (
    DRAWN,
    LARGEST,
    MODEL_SPACE,
    OPTIONS,
    STREAM,
    Source,
    check_not_drawn,
    drawn_rows,
    regular,
    stratified,
)
from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

TRAIN, VALIDATION = ("train", "training"), ("val", "valid", "validation")
TEST = ("test", "testing", *VALIDATION)
SOLUTION_NAME = "LOC_val_solution.csv"
LAYOUT = "it must hold train/CLASS/*.png and test/CLASS/*.png (or val for test, or other pictures), CLASS/*.png, or pictures and labels.csv"
CONTEST = Path("ILSVRC", "Data", "CLS-LOC")  # where ImageNet as released has train, val and test, below a table of val's labels
LOOKED_AT = 32  # folders of which one picture is looked at, to see how large all are
Listing = dict[str, list[Path]]  # picture files by the name of their class, both sorted


class Parts(NamedTuple):
    """The pictures of training and of the test (None where there is no such part), and how many stray files there are, with one of them."""

    train: Listing
    test: Listing | None
    strays: list[Path]


def list_items(folder: Path, spec: Spec) -> tuple[list[Item], list[Item], tuple[str, ...], str]:
    """The training pictures and the test pictures of a folder, the names of the classes, and how a test split was drawn.

    Pictures lie in train/CLASS and test/CLASS (or val/CLASS), in CLASS alone, or in one folder with a table of their labels; one folder
    around all of them is looked through, and one inside a class too. Classes are the sorted names. With the option `limit` only that many
    training pictures are listed, the first of every class in proportion. Files that are no pictures are left out and counted.

    Raises:
      BadInput: no such layout, no test split and no option `test`, different classes in train and test, links that leave the folder.
    """
    if not folder.is_dir():
        raise BadInput(f"{spec.text}: there is no folder {folder}; {LAYOUT}")
    parts = find_parts(folder.resolve(), spec)
    names = tuple(parts.train)
    if parts.test is not None and names != tuple(parts.test):
        odd = sorted(set(names) ^ set(parts.test))
        raise BadInput(f"{spec.text}: class folder '{odd[0]}' is not in both train and test; both must have the same")
    if parts.strays:
        one = parts.strays[0].relative_to(folder.resolve())
        several = f"{len(parts.strays)} files that are no pictures are left out, such as"
        note(f"{spec.text}: {'a file that is no picture is left out:' if len(parts.strays) == 1 else several} {one}")
    train, test = (None if part is None else items_of(part) for part in (parts.train, parts.test))
    if not train or test == []:
        raise BadInput(f"{spec.text}: {folder} has a part without pictures; {LAYOUT}")
    drawn = ""
    if test is None:
        index, drawn = drawn_rows(spec, np.array([item.label for item in train]))
        test, train = [train[row] for row in index], [train[row] for row in np.setdiff1d(np.arange(len(train)), index)]
    else:
        check_not_drawn(spec)
    limit = spec.options.get("limit")
    if limit is not None and limit < len(train):
        train = [train[row] for row in stratified(np.array([item.label for item in train]), limit)]
    return train, test, names, drawn


def read_folder(folder: Path, spec: Spec) -> Source:
    """The decoded pictures of a folder. The options of the spec say how they are cut. Raises BadInput for another layout than class folders
    or a table of labels, no test split and no option `test`, broken pictures, and several sizes without the option `size`."""
    train, test, names, drawn = list_items(folder, spec)
    channels, resize = (
        1 if spec.options.get("grey") else None,
        spec.to_one_size(),
    )
    memory, like, found = MemoryBudget(spec.text, remedy="use fewer pictures, ?limit=N, or ?size=N"), None, []
    for items, scale in ((train, None), (test, scale_of(spec))):
        how = {"channels": channels, "size": spec.options.get("size"), "scale": scale, "resize": resize, "like": like}
        stored = sum(item.file.stat().st_size for item in items)
        found.append(gather(items, len(items), spec.text, memory=memory, stored=stored, **how))
        like = found[0][0].shape[1:]
    x = same_channels(found[0][0], found[1][0])
    return assemble(spec, (x[0], found[0][1]), (x[1], found[1][1]), names, flips=spec.named.flips, drawn=drawn)


def scan(spec: Spec) -> Source:
    """The pictures of the folder that the spec names, which stay in their files and are decoded whenever they are taken. Raises BadInput
    for another layout than class folders or a table of labels, and where there is no test split and no option `test`."""
    train, test, names, drawn = list_items(spec.place(), spec)
    files = tuple(item.file for items in (train, test) for item in items)
    return Source(spec.name, spec.text, *scanned([train, test], spec), names, spec.named.flips, drawn=drawn, files=files)


def weigh(spec: Spec) -> int:
    """About how many bytes all pictures take in memory, raw and normalised: those that lie below the folder, for training no more than the
    limit, each as large as the largest of some of them. 0 where there is none."""
    place, counts, largest = spec.place(), {False: 0, True: 0}, []
    for at, _, names in os.walk(place):
        pictures = [name for name in names if os.path.splitext(name)[1].lower() in SUFFIXES]
        tests = not {*TEST}.isdisjoint(name.lower() for name in Path(at).relative_to(place).parts)
        counts[tests] += len(pictures)
        if pictures and len(largest) < LOOKED_AT:
            largest.append(numbers_of(Path(at, pictures[0]), spec.options.get("size")))
    drawn = 0 if counts[True] else math.ceil(spec.options.get("test", 0.0) * counts[False])
    train = min(counts[False] - drawn, spec.options.get("limit", LARGEST))
    return (1 + MODEL_SPACE) * (train + drawn + counts[True]) * max(largest, default=0)


def items_of(listing: Listing) -> list[Item]:
    """The pictures of a listing, class by class; class indices are counted in its order."""
    return [Item(path, label, str(path)) for label, paths in enumerate(listing.values()) for path in paths]


def find_parts(root: Path, spec: Spec) -> Parts:
    """Finds out which layout the folder `root` has, or the one folder inside it, and lists its pictures. Raises BadInput where that is none
    of the known ones."""
    strays: list[Path] = []
    entries = list_folder(root, root, spec.text)
    if is_inside(root / CONTEST, root):
        return find_parts_in(root / CONTEST, root, spec, strays, beside=find_table(entries, SOLUTION))
    if root.name == CONTEST.parts[0] and (root / CONTEST.relative_to(root.name)).is_dir():
        raise BadInput(f"{spec.text}: name the folder above, {root.parent}, which holds {root.name} and {SOLUTION_NAME}")
    folders = {path.name.lower(): path for path in entries if path.is_dir()}
    if len(folders) == 1 and not {*folders} & {*TRAIN, *TEST} and not find_table(entries):
        (inner,) = folders.values()
        if is_inside(inner / CONTEST, root):
            table = find_table(list_folder(inner, root, spec.text), SOLUTION)
            return find_parts_in(inner / CONTEST, root, spec, strays, beside=table)
        if any(path.is_dir() for path in list_folder(inner, root, spec.text)):  # what an archive was unpacked to
            return find_parts_in(inner, root, spec, strays)
    return find_parts_in(root, root, spec, strays)


def find_parts_in(folder: Path, root: Path, spec: Spec, strays: list[Path], *, beside: Sequence[Path] = ()) -> Parts:
    """Finds out which layout `folder` has, and lists its pictures. Files that are none are appended to `strays`. No link may leave `root`.
    `beside` is a table of labels that lies elsewhere, or nothing. Raises BadInput where the layout is none of the known ones."""
    entries = list_folder(folder, root, spec.text)
    folders = {path.name.lower(): path for path in entries if path.is_dir()}
    train = next((folders[name] for name in TRAIN if name in folders), None)
    tests = [folders[name] for name in TEST if name in folders]
    if train is None:
        if tests and len(tests) == len(folders):
            raise BadInput(f"{spec.text}: {folder} has no folder train; {LAYOUT}")
        return Parts(list_part(folder, entries, find_table(entries), root, spec, strays), None, strays)
    inside = {part: list_folder(part, root, spec.text) for part in (train, *tests)}
    tables = {part: table_of(part, inside[part], entries, spec) or [*beside] for part in inside}
    named = [part for part in tests if not is_unlabelled(part, root, spec.text) or tells_of(tables[part], part, spec)]
    if not named:  # what is wrong with a table of one part is said when it is read
        named = [part for part in tests if part.name.lower() in VALIDATION and any(one.name.lower() in OF_ONE_PART for one in tables[part])]
    if left := " and ".join(part.name for part in tests if part not in named):
        contest = CONTEST.name in folder.parts
        where = f"{SOLUTION_NAME} beside {CONTEST.parts[0]}" if contest else "labels.csv, or val_annotations.txt in val,"
        found = f"the test is {named[0].name}" if named else f"{where} would"
        are = "are" if sum(part not in named for part in tests) > 1 else "is"
        note(f"{spec.text}: {left} {are} left out: nothing says the classes of its pictures; {found}")
    tests = named
    if len(tests) > 1:
        note(f"{spec.text}: {tests[1].name} is left out: the test is {tests[0].name}, and validation pictures are cut from {train.name}")
    parts = [train, *tests[:1]]
    made = [list_part(part, inside[part], tables[part], root, spec, strays) for part in parts]
    for table in {one for part in parts for one in tables[part] if one.name.lower() not in OF_ONE_PART and one.parent != part}:
        if any(tells_of([table], part, spec) for part in parts):
            told = {part: is_read(table, part, inside[part], spec) for part in tables if table in tables[part]}
            check_shared(table, told, spec)
    known = {table for found in tables.values() for table in found}
    strays += [path for path in entries if path.is_file() and path.name.lower() not in TABLES and path not in known]
    return Parts(made[0], made[1] if tests else None, strays)


def table_of(part: Path, inside: Sequence[Path], beside: Sequence[Path], spec: Spec) -> list[Path]:
    """The table that may tell of a part, a list of none or one. One inside the part goes before those beside it; of these one of its name,
    as train.csv of train, goes before others where it tells of the part, and one of another part's name tells nothing of it."""
    if inner := find_table(inside):
        return inner
    kinds = (TRAIN, VALIDATION, [name for name in TEST if name not in VALIDATION])
    own = [part.name.lower(), *next((kind for kind in kinds if part.name.lower() in kind), ())]
    others = {*TRAIN, *TEST} - {*own}
    tables = find_tables([path for path in beside if path.stem.lower() not in others], *(f"{name}.csv" for name in own))
    return [table for table in tables if tells_of([table], part, spec)][:1] or tables[:1]


def is_inside(folder: Path, root: Path) -> bool:
    """Whether a folder is there, and no link on the way to it leaves `root`."""
    return folder.is_dir() and folder.resolve().is_relative_to(root)


def is_unlabelled(part: Path, root: Path, spec: str) -> bool:
    """Whether a part holds pictures without their classes, as the test of a contest does: loose ones, or those of one folder `images`."""
    entries = list_folder(part, root, spec)
    return not find_table(entries) and [path.name.lower() for path in entries if path.is_dir()] in ([], ["images"])


def is_read(table: Path, part: Path, entries: Sequence[Path], spec: Spec) -> bool:
    """Whether a table says the classes of a part that holds `entries`, and not its class folders."""
    folders = [path.name.lower() for path in entries if path.is_dir()]
    loose = any(path.is_file() and path.suffix.lower() in SUFFIXES for path in entries)
    meant = table.parent == part or folders == ["images"]
    return loose or not folders or (len(folders) == 1 and (meant or tells_of([table], part, spec)))


def list_part(part: Path, entries: list[Path], table: list[Path], root: Path, spec: Spec, strays: list[Path]) -> Listing:
    """The pictures of one part, by class: those of its class folders, or of a table of labels where there are none.

    Args:
      part: its folder. entries: what that holds. table: the table that may tell of it, or none.
      root: the folder that links must not leave. strays: files that are no pictures are appended here.

    Raises BadInput where nothing says the classes.
    """
    if table and is_read(table[0], part, entries, spec):
        return read_listing(table[0], part, root, spec)
    folders = [path for path in entries if path.is_dir()]
    loose = [path for path in entries if path.is_file() and path.suffix.lower() in SUFFIXES]
    if not folders:
        wrong = f"{len(loose)} pictures and nothing that says their classes" if loose else "no class folders"
        raise BadInput(f"{spec.text}: {part} holds {wrong}; {LAYOUT}")
    if tells_of(table, part, spec):
        note(f"{spec.text}: {table[0].name} is not read: class folders {', '.join(path.name for path in folders)[:100]} say the classes")
    strays += [path for path in entries if path.is_file() and path not in table]
    listing = {}
    for folder in folders:
        if any("\ud800" <= letter <= "\udfff" for letter in folder.name):  # bytes that Python could not read as letters
            raise BadInput(f"{spec.text}: the name of class folder {str(folder)!a} is not UTF-8; rename it")
        listing[folder.name] = list_class(folder, root, spec.text, strays)
    return listing


def list_class(folder: Path, root: Path, spec: str, strays: list[Path]) -> list[Path]:
    """The pictures of a class, those in a folder inside too. Files that are no pictures are appended to `strays`. Raises BadInput for
    devices and pipes, and for folders inside that one."""
    found = []
    for path in list_folder(folder, root, spec):
        if path.is_dir():
            inner = list_folder(path, root, spec)
            if any(deeper.is_dir() for deeper in inner):
                raise BadInput(f"{spec}: {path} holds folders again; {LAYOUT}")
        for file in inner if path.is_dir() else [path]:
            found.append(regular(file, spec, remedy="remove it or replace it by a picture"))
    strays += [path for path in found if path.suffix.lower() not in SUFFIXES]
    return [path for path in found if path.suffix.lower() in SUFFIXES]


def list_folder(folder: Path, root: Path, spec: str) -> list[Path]:
    """What a folder holds, sorted, without hidden files. Raises BadInput where it cannot be read, and for a link that leaves `root`."""
    try:
        found = sorted(folder / name for name in os.listdir(folder) if not name.startswith(".") and name not in ("Thumbs.db", "__MACOSX"))
    except OSError as error:
        raise BadInput(f"{spec}: cannot read the folder {folder} ({error.strerror}); make it readable") from None
    for path in found:
        try:
            inside = not path.is_symlink() or path.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # which one depends on the version of Python
            raise BadInput(f"{spec}: {path} is a link that leads back to itself; remove it") from None
        if not inside:
            raise BadInput(f"{spec}: {path} is a link that leaves {root}; copy the file there instead")
    return found


def read(spec: Spec) -> Source:
    """The decoded pictures of the folder that the spec names; of one with a limit, only that part is decoded. Raises BadInput for another
    layout than class folders or a table of labels, no test split and no option `test`, broken pictures, and several sizes without the
    option `size`."""
    return read_folder(spec.place(), spec)


ABOUT = "a folder with pictures in train/CLASS and test/CLASS (or val/CLASS), in CLASS alone, or with a table labels.csv"
CHOICES = OPTIONS | SIZES | {"grey": TRUTH} | DRAWN | {"label": Word()} | STREAM
READER = Reader("folder", ABOUT, read, CHOICES, scan=scan, weigh=weigh)
