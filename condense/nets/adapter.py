"""The only place that splits and merges flax modules: a module's constructor becomes a `synth.base.Net`, plain functions of plain arrays.

Images are f32[b h w c] in model space, vectors f32[b d]. 28x28 images are padded with two zeros on every side, whatever the
network: for a ConvNet this equals the papers' first convolution with padding 3. Parameters and statistics are dicts (sorted by name) and
tuples (in order) of float32 arrays; every network's last linear layer stands under `params["head"]`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.conv import in_pieces
from condense.nets.layers import Draw, Tape
from synth.base import Net, Out, Vars
from synth.errors import BadInput
from synth.files.memory import MemoryBudget
from synth.graphs.base import Alphabet, GraphBatch

Image = tuple[int, ...]  # the shape of an example: h, w, c, or the length of a vector
TRAINED = 16  # bytes a parameter takes while it is trained: itself, its gradient and two moments


def padded(image: Image) -> Image:
    """The shape (h, w, c) or (d,) that a network sees: 28x28 becomes 32x32, all others stay. Nothing is padded here."""
    return (32, 32, image[2]) if image[:2] == (28, 28) else image


def adapt(construct: Callable[[Image, int, Draw], nnx.Module], image: Image, classes: int) -> Net:
    """A network from the constructor of a module that has `features(x, tape) -> f32[b d]` and a linear layer `head`.

    `Net.apply` returns the logits, `embed` = the input of the head, and as taps
    `conv`: the last feature map, which flattened or averaged over its pixels gives `embed` if the head is the network's only linear layer;
      absent where there are no convolutions;
    `norm0`, `norm1`, ...: (mean, biased variance) of each batch norm's input in call order, whether training or not;
    `running0`, `running1`, ...: the (mean, variance) that `vars.stats` held for the same layers;
    `norm_input0`, ...: these inputs themselves; `conv_input0`, ...: the inputs of the convolutions in call order, in networks with batch
      norms.
    When training, batch norms normalise by the batch and `stats` returns moved. `vars` never change, and no network here reads `key`.

    Args:
      construct: (image size after padding, classes, source of initial weights) -> module.
      image: height, width and channels of the images, or the length of the vectors.
      classes: number of logits.

    Raises:
      BadInput: the module cannot take the image size, or has more parameters than memory allows; from `apply`: the images are of another
        size.
    """
    image = padded(image)
    plan = Draw()
    graph = nnx.graphdef(nnx.eval_shape(lambda: construct(image, classes, plan)))
    check_parameters(plan.used)

    @jax.jit
    def init(key: jax.Array) -> Vars:
        module = construct(image, classes, Draw(key, total=plan.used))
        _, params, stats = nnx.split(module, nnx.Param, nnx.BatchStat)
        return Vars(plain(nnx.to_pure_dict(params)), plain(nnx.to_pure_dict(stats)) or ())

    def apply(vars: Vars, x: jax.Array, *, train: bool = False, key: jax.Array | None = None) -> Out:
        if padded(x.shape[1:]) != image:
            raise BadInput(f"the network was built for images of {_size(image)}, got {_size(x.shape[1:])}")
        if x.shape[1:] != image:
            x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))

        def forward(x):
            # Merging arrays makes new variables, so that what a training pass assigns stays inside this call.
            module, tape = nnx.merge(graph, keyed(vars.params), keyed(vars.stats)), Tape(train)
            return module, tape, module.features(x, tape)

        if jax.tree.leaves(vars.stats):
            module, tape, embed = forward(x)
            taps = {} if tape.conv is None else {"conv": tape.conv}
            for i, (x, seen, held) in enumerate(tape.norms):
                taps |= {f"norm_input{i}": x, f"norm{i}": seen, f"running{i}": held}
            taps |= {f"conv_input{i}": x for i, x in enumerate(tape.convs)}
            moved = plain(nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))) if train else vars.stats
            return Out(module.head(embed), embed, taps, moved)

        def maps(x):  # no layer mixes images, so a large batch may go through in pieces
            module, tape, embed = forward(x)
            return module.head(embed), embed, {} if tape.conv is None else {"conv": tape.conv}

        return Out(*in_pieces(maps, x), vars.stats)

    return Net(init, apply)


def adapt_graphs(construct: Callable[[Alphabet, int, Draw], nnx.Module], alphabet: Alphabet, classes: int) -> Net:
    """A network of graphs from the constructor of a module that has `features(batch) -> (f32[b d], f32[n d])` and a linear layer `head`.

    `Net.apply` takes a `synth.graphs.base.GraphBatch`; the tap `nodes` holds the vectors of the nodes after the last layer. No network here
    has statistics, and none reads `key` or `train`.

    Args:
      construct: (alphabet, classes, source of initial weights) -> module.
      alphabet: how many tags and edge labels the graphs have.
      classes: number of logits.

    Raises BadInput where the module has more parameters than memory allows.
    """
    plan = Draw()
    graph = nnx.graphdef(nnx.eval_shape(lambda: construct(alphabet, classes, plan)))
    check_parameters(plan.used)

    @jax.jit
    def init(key: jax.Array) -> Vars:
        module = construct(alphabet, classes, Draw(key, total=plan.used))
        return Vars(plain(nnx.to_pure_dict(nnx.state(module, nnx.Param))))

    def apply(vars: Vars, x: GraphBatch, *, train: bool = False, key: jax.Array | None = None) -> Out:
        module = nnx.merge(graph, keyed(vars.params))
        embed, nodes = module.features(x)
        return Out(module.head(embed), embed, {"nodes": nodes}, vars.stats)

    return Net(init, apply)


def check_parameters(count: int) -> None:
    """Raises BadInput where a network of so many parameters takes more memory than it may while it is trained (16 bytes a parameter)."""
    remedy = "use a smaller width or depth"
    MemoryBudget(f"--net: a network of {count:,} parameters", remedy=remedy).take(TRAINED * count)


def _size(image: Image) -> str:
    return "x".join(map(str, image))


def plain(tree):
    """Changes nested dicts as flax gives them. A dict with a list's positions for keys becomes a tuple, with an empty dict where a position
    is missing; positions then sort as numbers, also where keys are written out. All other dicts are sorted by name. What is no dict stays
    as it is."""
    if not isinstance(tree, dict):
        return tree
    if not tree or isinstance(next(iter(tree)), str):
        return {name: plain(tree[name]) for name in sorted(tree)}
    return tuple(plain(tree.get(i, {})) for i in range(max(tree) + 1))


def keyed(tree):
    """The inverse of `plain`: every tuple in nested dicts becomes a dict from position to entry, as flax wants it."""
    if isinstance(tree, tuple):
        tree = dict(enumerate(tree))
    return {name: keyed(value) for name, value in tree.items()} if isinstance(tree, dict) else tree
