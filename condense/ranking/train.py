"""Ranks training examples: trains proxies one after another, and logs after every epoch what they say of every example.

The folder is a run (`run.json`, `metrics.jsonl`) and a log of ranks (`synth.selection.ranks`), whose record is written when all is there.
"""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.images import Data, say_whole
from condense.data.load import Given, load_data
from condense.data.modality import MODALITIES, check_modality
from condense.ranking.log import LastLogits, RankLog
from condense.ranking.measure import Measure, make_measure
from condense.runtime.checkpoint import Checkpoints
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import MetricsLog, note, progress
from condense.runtime.run_folder import Run, check_there, open_run
from condense.teachers.train import PIECES, TeacherRecipe, trainer, usual_view
from synth.base import Net, Split
from synth.errors import RunFailed
from synth.files.memory import forcible
from synth.images.augment import Augment
from synth.numerics.pytree import all_finite
from synth.selection.ranks import RECORD, Header, Ranks, read_ranks
from synth.training.fit import Fit, init_fit
from synth.training.stream import held, on_device
from synth.vectors import unaugmented

RANKING = 6  # key stream of the proxies, beside those of a distillation with the same seed
NETWORKS, EPOCHS, LR, BATCH = 4, 4, 0.05, 128
LOGGED = PIECES // 3  # pieces of an epoch's training that take as long as a forward pass of all examples


class Ranking(NamedTuple):
    """A ranking with all choices resolved.

    Args:
      data: what is ranked, its training split. net: canonical specification of the proxies.
      networks, recipe: how many there are, and how each is trained.
      full: whether the norm of the full gradient is logged too.
      seed: of everything drawn.
    """

    data: Data
    net: str
    networks: int
    recipe: TeacherRecipe
    full: bool
    seed: int

    @property
    def steps(self) -> int:
        """Epochs over all networks."""
        return self.networks * self.recipe.epochs

    def config(self) -> dict[str, Any]:
        """All choices that identify the run, by name, as `run.json` records them."""
        config = {"task": "ranks", "data": self.data.spec, "net": self.net, "networks": self.networks, **self.recipe.as_record()}
        return config | {"full_gradient": self.full} | ({} if self.data.seed == self.seed else {"split_seed": self.data.seed})

    def header(self, width: int) -> Header:
        """The record of the log, without the checksums of its files; `width` is that of an embedding."""
        data, recipe = self.data, self.recipe
        return Header(
            net=self.net,
            networks=self.networks,
            epochs=recipe.epochs,
            examples=len(data.train.y),
            width=width,
            full=self.full,
            recipe={"lr": recipe.lr, "batch": recipe.batch},
            data=data.spec,
            data_digest=data.digest,
            classes=data.classes,
            seed=self.seed,
            split_seed=data.seed,
            sums={},
        )


def proxy_net(data: Data) -> str:
    """The specification of the usual proxy: the network that suits few of these examples, however many there are, because it only ranks."""
    return nets.canonical(MODALITIES[data.modality].net(data.image, 0))


def augmentation_of(data: Data) -> Augment:
    """The usual view of a teacher's training as an augmentation (key, x) -> x, under which a network without batch statistics trains faster
    on a CPU; `siamese` is ignored, each image gets parameters of its own. Vectors stay as they are."""
    if not MODALITIES[data.modality].augments:
        return unaugmented
    view = usual_view(data)
    return lambda key, x, *, siamese=False: view.sample(key, x)[0]


def settle_ranking(
    data: Given, *, net: str | None, networks: int, epochs: int, lr: float, batch: int, full_gradient: bool, seed: int
) -> Ranking:
    """Reads the data and checks the arguments of `rank`, where None for `net` is the usual proxy; nothing is written. Raises BadInput for a
    wrong one."""
    seed, networks = check_seed(seed), check_whole("networks", networks)
    recipe = TeacherRecipe(epochs, lr, batch).checked()
    arrays = (name for name, modality in MODALITIES.items() if modality.starts)
    data = check_modality(load_data(data, seed=seed), *arrays, flag="--data")
    net = nets.named(net or proxy_net(data), data.image, len(data.classes))
    nets.build(net, data.image, len(data.classes))
    return Ranking(data, net, networks, recipe, bool(full_gradient), seed)


@forcible
def rank(
    data: Given,
    out: str | Path,
    *,
    net: str | None = None,
    networks: int = NETWORKS,
    epochs: int = EPOCHS,
    lr: float = LR,
    batch: int = BATCH,
    full_gradient: bool = False,
    seed: int = 0,
    force: bool = False,
    command: str = "",
) -> Ranks:
    """Trains proxies on the training split and logs what they say of every example. The same call again resumes, or returns the log.

    Args:
      data: data as `load_data` takes them; the validation split stays out.
      out: the folder.
      net: specification of the proxies; by default the usual network for few examples.
      networks, epochs: how many proxies (>= 1), and passes over the training examples of each (>= 1).
      lr, batch: of SGD with momentum 0.9, weight decay 5e-4 and a cosine over all steps: its first step size (> 0), examples a step.
        Images are shifted and flipped while networks train, and logged as they are.
      full_gradient: also logs the norm of every example's gradient by all parameters, in a pass of its own that takes several times as long
        as an epoch.
      seed: of weights, order and views, and of the validation split where `data` is a specification.
      force: starts anew where `out` holds another run, or this one and it is done.
      command: what run.json records as the command.

    Raises:
      BadInput: a wrong call. RunFailed: a training diverges, or the disk has no room.
    """
    chosen = {"net": net, "networks": networks, "epochs": epochs, "lr": lr, "batch": batch, "full_gradient": full_gradient, "seed": seed}
    ranking, folder = settle_ranking(data, **chosen), Path(out)
    request = {"steps": ranking.steps, "seed": ranking.seed, "command": command, "data_digest": ranking.data.digest, "force": force}
    with open_run(folder, ranking.config(), beside={"trained_on": ranking.data.trained_on}, spent=("checkpoints",), **request) as run:
        if run.done:
            note(f"{folder} is done: {ranking.networks} networks of {ranking.recipe.epochs} epochs; nothing to do")
        else:
            RankTraining(run, ranking).run()
        check_there(folder, RECORD)
    return read_ranks(folder)


class ProxyProgress(NamedTuple):
    """The checkpoint of a proxy: epochs done, and the state of its training."""

    epoch: jax.Array
    state: Fit


class RankTraining:
    """The training and logging of all proxies of `ranking` in the folder of the run `owner`."""

    def __init__(self, owner: Run, ranking: Ranking):
        data = ranking.data
        self.owner, self.ranking, self.folder = owner, ranking, owner.folder
        self.net: Net = nets.build(ranking.net, data.image, len(data.classes))
        self.examples: Split = on_device(held(data.train))
        self.measure: Measure = make_measure(self.net)
        say_whole(data.train, "proxies")
        self.train = trainer(self.net, data, ranking.recipe, examples=self.examples, augment=augmentation_of(data))
        self.log = RankLog(self.folder, ranking.header(width_of(self.net, data.image)))

    def run(self) -> None:
        """Trains the proxies that are missing, logs every epoch, and finishes the log."""
        self.owner.begin()
        if not self.log.whole():
            self.start_anew()
        self.log.write("label", 0, np.asarray(self.examples.y))
        done = self.owner.record["step"]
        self.metrics = MetricsLog(self.folder / "metrics.jsonl", step=done)
        shown = progress(self.ranking.steps * (PIECES + LOGGED), "ranking", done=done * (PIECES + LOGGED))
        with shown as bar, closing(LastLogits(self.folder, self.log.header)) as last:
            for number in range(self.ranking.networks):
                self.proxy(number, bar, last)
        self.log.finish()

    def start_anew(self) -> None:
        """Creates the files of the log. States of a training whose log is gone or damaged are removed."""
        if self.owner.record["step"]:
            note(f"{self.folder}: files of the log are gone or damaged; the ranking starts anew")
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        self.log.create()
        self.owner.saved(0)

    def proxy(self, number: int, bar, last: LastLogits) -> None:
        """Trains and logs one proxy, whose number counts from 0, from wherever it was left. Raises RunFailed where it diverges."""
        epochs, examples = self.ranking.recipe.epochs, self.examples
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(self.ranking.seed), RANKING), number)
        kept = Checkpoints(self.folder / "checkpoints" / str(number), owner=self.owner.owner)
        blank = ProxyProgress(jnp.int32(0), init_fit(key, self.net, self.ranking.recipe.optimiser(1.0)))
        found = jax.tree.map(jnp.array, kept.restore(blank) or blank)
        state, done = found.state, int(found.epoch)
        for epoch in range(done):  # the last may have been stored by a process that died before it could say so
            if self.tell(number, epoch):
                bar.advance(PIECES + LOGGED)
        if done < epochs:
            self.measure.see(state.vars, examples, last)
        for epoch in range(done, epochs):
            state = self.train(key, state, epoch, bar)
            if not all_finite(state.vars):
                raise RunFailed(f"network {number} diverged in epoch {epoch + 1}; try a smaller --lr, or another --net")
            fields = self.measure.fields(state.vars, examples, last)
            if self.ranking.full:
                fields["full_gradient"] = self.measure.full(state.vars, examples)
            self.log.write_epoch(number, epoch, fields)
            if number == 0 and epoch + 1 == epochs:
                for at, part in self.measure.embed(state.vars, examples):
                    self.log.write("embedding", at * part.shape[1], part)
            kept.save(epoch + 1, jax.tree.map(np.array, ProxyProgress(np.int32(epoch + 1), state)))
            self.tell(number, epoch)
            bar.advance(LOGGED, right=float(fields["correct"].mean()))

    def tell(self, number: int, epoch: int) -> bool:
        """Records that an epoch of a network (both count from 0) is safe on the disk, with its accuracy on the training examples. Returns
        whether that was not recorded yet."""
        step = number * self.ranking.recipe.epochs + epoch + 1
        if step in self.metrics.column("train_accuracy"):
            return False
        right = float(self.log.read("correct")[number, epoch].mean())
        self.metrics.add(step, network=number, epoch=epoch + 1, train_accuracy=right)
        self.owner.saved(step)
        return True


def width_of(net: Net, image: tuple[int, ...]) -> int:
    """The length of a network's embedding."""
    x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    return jax.eval_shape(lambda key, x: net.apply(net.init(key), x).embed, jax.random.key(0), x).shape[1]
