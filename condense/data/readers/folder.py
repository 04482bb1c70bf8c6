"""The reader of folders of pictures: a folder a class, or a table of labels beside them; in train and test, or in one part."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from condense.data.readers.base import TRUTH, Reader, Spec, Word
from condense.data.readers.encoded import SIZES, SUFFIXES, Item, gather, numbers_of, same_channels
from condense.data.readers.listed import OF_ONE_PART, SOLUTION, TABLES, check_shared, find_table, read_listing, tells_of
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
    """About how many bytes all pictures take in memory, raw and normalised: as many as lie below the folder, or the limit if that is less,
    each as large as one of them. 0 where there is none."""
    found = (Path(at) / name for at, _, names in os.walk(spec.place()) for name in names if Path(name).suffix.lower() in SUFFIXES)
    if (first := next(found, None)) is None:
        return 0
    count = min(1 + sum(1 for _ in found), spec.options.get("limit", LARGEST))
    return (1 + MODEL_SPACE) * count * numbers_of(first, spec.options.get("size"))


def items_of(listing: Listing) -> list[Item]:
    """The pictures of a listing, class by class; class indices are counted in its order."""
    return [Item(path, label, str(path)) for label, paths in enumerate(listing.values()) for path in paths]


def find_parts(root: Path, spec: Spec) -> Parts:
    """Finds out which layout the folder `root` has, or the one folder inside it, and lists its pictures. Raises BadInput where that is none
    of the known ones."""
    strays: list[Path] = []
    entries = list_folder(root, root, spec.text)
    if is_inside(root / CONTEST, root):
        return find_parts_in(root / CONTEST, root, spec, strays, beside=find_table(entries, first=SOLUTION))
    if root.name == CONTEST.parts[0] and (root / CONTEST.relative_to(root.name)).is_dir():
        raise BadInput(f"{spec.text}: name the folder above, {root.parent}, which holds {root.name} and {SOLUTION_NAME}")
    folders = {path.name.lower(): path for path in entries if path.is_dir()}
    if len(folders) == 1 and not {*folders} & {*TRAIN, *TEST} and not find_table(entries):
        (inner,) = folders.values()
        if is_inside(inner / CONTEST, root):
            table = find_table(list_folder(inner, root, spec.text), first=SOLUTION)
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
        return Parts(list_part(folder, entries, root, spec, strays), None, strays)
    tables = {part: table_of(part, entries) or beside for part in (train, *tests)}
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
    made = [list_part(part, [*list_folder(part, root, spec.text), *tables[part]], root, spec, strays) for part in parts]
    for table in {one for part in parts for one in tables[part] if one.name.lower() not in OF_ONE_PART}:
        if any(tells_of([table], part, spec) for part in parts):
            check_shared(table, [part for part in tables if table in tables[part]], spec)
    strays += [path for path in entries if path.is_file() and path.name.lower() not in TABLES]
    return Parts(made[0], made[1] if tests else None, strays)


def table_of(part: Path, entries: Sequence[Path]) -> list[Path]:
    """The table beside the parts that may tell of this one, a list of none or one: one of its name goes before others, as train.csv of
    train, and one of another part's name tells nothing of it."""
    others = {*TRAIN, *TEST} - {part.name.lower()}
    return find_table([path for path in entries if path.stem.lower() not in others], first=f"{part.name.lower()}.csv")


def is_inside(folder: Path, root: Path) -> bool:
    """Whether a folder is there, and no link on the way to it leaves `root`."""
    return folder.is_dir() and folder.resolve().is_relative_to(root)


def is_unlabelled(part: Path, root: Path, spec: str) -> bool:
    """Whether a part holds pictures without their classes, as the test of a contest does: loose ones, or those of one folder `images`."""
    entries = list_folder(part, root, spec)
    return not find_table(entries) and [path.name.lower() for path in entries if path.is_dir()] in ([], ["images"])


def list_part(part: Path, entries: list[Path], root: Path, spec: Spec, strays: list[Path]) -> Listing:
    """The pictures of one part, by class: those of its class folders, or of a table of labels where there are none.

    Args:
      part: its folder. entries: what that holds, and a table beside it. root: the folder that links must not leave.
      strays: files that are no pictures are appended here.

    Raises BadInput where nothing says the classes.
    """
    folders = [path for path in entries if path.is_dir()]
    table = find_table(entries)
    loose = [path for path in entries if path.is_file() and path.suffix.lower() in SUFFIXES]
    meant = table and (table[0].parent == part or [path.name.lower() for path in folders] == ["images"])
    if table and (loose or not folders or (len(folders) == 1 and (meant or tells_of(table, part, spec)))):
        return read_listing(table[0], part, root, spec)
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
