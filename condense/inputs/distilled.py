"""The distilled set that a method adds to: the one that `--distilled` names, or one that `dm` makes in the run's folder."""

import contextlib
import hashlib
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.for_set import find_set, fit_together
from condense.data.images import Data
from condense.data.modality import augmentation, usual_net
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set, set_info
from condense.engine.loop import run
from condense.engine.schedule import make_schedule
from condense.experts import preprocess_digest
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.runtime.log import note
from condense.runtime.run_folder import RECORD, check_there, open_run
from matchers import REGISTRY
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.set import SyntheticSet

METHOD, IPC, STEPS, BATCH = "dm", 10, 300, 64  # of a set of a run's own; BATCH are real images a class and step


def take_distilled(place: str | Path, data: Data) -> SyntheticSet:
    """Loads the set in a run's folder or a file. Raises BadInput where there is none, where it was made for other images or normalised
    otherwise than `data`, and where its images or labels are not those of one class each."""
    synth, at = load_set(find_set(place)), f"--distilled {place}"
    try:
        fit_together(synth, data)
    except BadInput as error:
        raise BadInput(f"{at}: is for other data: {error}") from error
    if synth.represents:
        raise BadInput(f"{at}: its labels are representations, which belong to no class; give a set of a method that reads labels")
    if synth.cells > 1:
        raise BadInput(f"{at}: its images are collages, of which networks see a cell at a time; give a set of single images")
    if preprocess_digest(synth.info.preprocess) != preprocess_digest(data.preprocess):
        raise BadInput(f"{at}: its images are normalised otherwise than {data.spec}; distil this data")
    return synth


def distil(data: Data, folder: Path, *, net: str, seed: int, force: bool = False) -> SyntheticSet:
    """Makes a small set by `dm` in a folder, or loads the finished one; the same call again resumes. With `force` another run there is
    replaced.

    Raises BadInput where the folder holds another run, unless `force`; RunFailed as a run does.
    """
    matcher = REGISTRY[METHOD].load()(nets.build(net, data.image, len(data.classes)), augmentation(data), batch=BATCH)
    config = {"method": METHOD, "data": data.spec, "net": net, "ipc": IPC, "batch": BATCH, "split_seed": data.seed}
    asked = {"steps": STEPS, "seed": seed, "command": "made for ccfs", "data_digest": data.digest, "force": force}
    with open_run(folder, config, beside={"trained_on": data.trained_on}, **asked) as held:
        if held.done:
            check_there(folder, "set.npz")
            return load_set(folder / "set.npz")
        key = jax.random.key(seed)
        first = initial_set(key, matcher, matcher.start, data, IPC, set_info(data, config, seed=seed, recipe=""))
        feed = make_feed(matcher.feed, data.train, len(data.classes), seed=seed)
        more = {"folder": folder, "owner": held.owner, "starting": held.begin, "saved": held.saved, "description": METHOD}
        synth = run(key, matcher, first, feed, make_schedule(matcher, steps=STEPS, eval_every=None, checkpoint_every=None), **more)
        save_set(folder / "set.npz", synth)
    return synth


def net_of(context: Context) -> str:
    """The network that a set of the run's own is distilled with: that of the call, or the usual one of the data."""
    return context.net or usual_net(context.data)


def find(context: Context) -> Input:
    """Loads the set that the flag names. Without the flag, gives a black set as a stand-in for the one that the run will make."""
    if context.given is not None:
        return Input(take_distilled(context.given, context.data))
    classes, place = len(context.data.classes), context.out and context.out / "distilled"
    images = Pixels(jnp.zeros((IPC * classes, *context.data.image)))
    black = SyntheticSet(images, Hard(jnp.repeat(jnp.arange(classes, dtype=jnp.int32), IPC), classes))
    recipe = f"{METHOD}, {IPC} images a class, {STEPS} steps"
    begun = bool(place and (place / RECORD).is_file())
    return Input(black, to_make=ToMake("distilled", (net_of(context),), recipe, place, STEPS, BATCH * classes, begun=begun))


def make(context: Context) -> Input:
    """Loads the set that the flag names. Without the flag, uses the one in OUT/distilled if it fits, and makes it there otherwise. Raises
    BadInput where another one is there, unless the run may remove it (`force`)."""
    if context.given is not None:
        return find(context)
    with contextlib.ExitStack() as stack:
        folder = context.out / "distilled" if context.out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="distilled.")))
        note(f"no --distilled: {METHOD} makes {IPC} images a class in {STEPS} steps; a set of your own may be better")
        settings = {"net": net_of(context), "seed": context.seed}
        try:
            return Input(distil(context.data, folder, **settings))
        except BadInput:  # the folder holds another set; one that fits is kept
            if not context.force:
                raise
            return Input(distil(context.data, folder, **settings, force=True))


def identity_of(synth: SyntheticSet) -> str:
    """Sixteen hexadecimal digits that tell the images and classes of a set from those of another."""
    images, index = np.asarray(synth.x.decode(), np.float32), np.asarray(synth.y.probs()).argmax(1).astype(np.int32)
    return hashlib.sha256(images.tobytes() + index.tobytes()).hexdigest()[:16]


PROVIDER = Provider(find, make, identity_of, lambda place: load_set(find_set(place)).info.split_seed)
