"""Steps of DC, MTT, DATM, SRe2L, FRePo and GSAM, and the operations of DSA: the same inputs in float64, values and gradients to 1e-8.

Each PyTorch writing is made from the formula of the paper or release that its test names, with torch's own derivatives.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense import nets
from condense.experts.flat import gsam
from matchers.base import Piece
from matchers.decoupled.loss import Jitter, RecoverySettings, batch_loss
from matchers.gradient.dc import dc
from matchers.kernel.common import Ridge, embed, one_hot_targets, predict
from matchers.trajectory.common import Student, distance, inner_items
from synth.base import Net, Vars
from synth.images.augment import OPERATIONS, none
from synth.images.content import Pixels
from synth.labels.plain import Hard, Soft, Target
from synth.set import SyntheticSet
from tests.support.matching import KEY, gradient_of, per_class
from tests.support.toy_data import as_set, blobs

torch = pytest.importorskip("torch")
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, one_hot  # noqa: E402 (behind importorskip)

from tests.support import torch_nets as twin  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("float64")]
CLOSE = {"rtol": 1e-8, "atol": 1e-8}
IMAGE, CLASSES = (8, 8, 3), 3


def convnet(norm: str = "instance") -> Net:
    """A small ConvNet that draws float64 parameters, every one of them random."""
    net = nets.build(f"convnet:width=4,depth=2,norm={norm}", IMAGE, CLASSES)

    def init(key):
        rng = np.random.default_rng(0)
        drawn = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0.2, 0.4, leaf.shape)), jax.eval_shape(net.init, key))
        return Vars(drawn.params, jax.tree.map(jnp.abs, drawn.stats))  # variances are positive

    return Net(init, net.apply)


def pictures(n: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *IMAGE))


def same(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), **CLOSE)


def entropy(params, x, label: int):
    return cross_entropy(twin.logits(params, x), torch.full((len(x),), label))


def test_dc():
    """VICO-UoE/DatasetCondensation, main.py and utils.py: gradients of a class's mean cross entropy, one minus the cosine of every output
    row with 1e-6 in the denominator, vectors left out, summed over layers and classes."""
    net = convnet()
    real, fake = (blobs(n, seed=n, image=IMAGE, dtype=np.float64) for n in (4, 2))
    assert real.y.tolist() == sorted(real.y.tolist())  # so that slices of four are the classes
    synth, matcher = as_set(fake), dc(net, lr=1.0, momentum=0.0, outer=1)
    grad, value = gradient_of(matcher, synth, per_class(real), lr=1.0)

    params = twin.tensors(matcher.init(KEY, synth).aux.vars.params, learn=True)
    s, x = twin.tensors(fake.x, learn=True), twin.tensors(real.x)
    loss = 0.0
    for c in range(CLASSES):
        want = torch.autograd.grad(entropy(params, x[4 * c : 4 * c + 4], c), twin.leaves(params))
        have = torch.autograd.grad(entropy(params, s[2 * c : 2 * c + 2], c), twin.leaves(params), create_graph=True)
        for g, h in zip(want, have, strict=True):
            if g.ndim > 1:
                g, h = (leaf.reshape(-1, leaf.shape[-1]) for leaf in (g, h))
                loss = loss + (1 - (g * h).sum(0) / (g.norm(dim=0) * h.norm(dim=0) + 1e-6)).sum()
    np.testing.assert_allclose(value, loss.item(), **CLOSE)
    same(grad, torch.autograd.grad(loss, s)[0])


def rectangle(x, y: int, u: int):
    """Zeros in the half-sided box around (y, u), clipped at the border (DiffAugment: offset - side // 2 and on)."""
    h, w = x.shape[1:3]
    mask = torch.ones_like(x)
    top, left = y - h // 4, u - w // 4
    mask[:, max(top, 0) : max(top + h // 2, 0), max(left, 0) : max(left + w // 2, 0)] = 0
    return x * mask


def shifted(x, dy: int, dx: int):
    padded = torch.nn.functional.pad(x, (0, 0, 8, 8, 8, 8))
    return padded[:, 8 + dy : 16 + dy, 8 + dx : 16 + dx]


def warped(x, matrix):
    grid = affine_grid(torch.tensor([matrix], dtype=torch.float64), (1, 3, 8, 8), align_corners=False)
    return grid_sample(x.permute(0, 3, 1, 2), grid, align_corners=False).permute(0, 2, 3, 1)


def coloured(x, b, s, c):
    x = x + b
    x = (x - x.mean(3, keepdim=True)) * s + x.mean(3, keepdim=True)
    return (x - x.mean((1, 2, 3), keepdim=True)) * c + x.mean((1, 2, 3), keepdim=True)


ANGLE = 0.2
AUGMENTED = {  # parameters, and the writing
    "color": ((0.3, 1.6, 0.7), coloured),
    "crop": ((jnp.int32(1), jnp.int32(-1)), lambda x, dy, dx: shifted(x, int(dy), int(dx))),
    "cutout": ((jnp.int32(1), jnp.int32(6)), lambda x, y, u: rectangle(x, int(y), int(u))),
    "flip": ((jnp.bool_(True),), lambda x, on: x.flip(2)),
    "scale": ((1.15, 0.9), lambda x, sy, sx: warped(x, [[sx, 0, 0], [0, sy, 0]])),
    "rotate": ((ANGLE,), lambda x, a: warped(x, [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0]])),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_operations_of_dsa(name):
    """VICO-UoE/DatasetCondensation, utils.py, DiffAugment: images and the derivative of a random functional of them."""
    drawn, other = AUGMENTED[name]
    x, weight = pictures(1, seed=1), np.random.default_rng(2).normal(size=(1, *IMAGE))
    parameters = [jnp.asarray(p, jnp.float64) if isinstance(p, float) else p for p in drawn]
    apply = OPERATIONS[name].apply
    ours, pull = jax.vjp(lambda image: apply(image, *parameters), jnp.asarray(x[0]))
    t = twin.tensors(x, learn=True)
    theirs = other(t, *drawn)
    same(ours, theirs[0])
    same(pull(jnp.asarray(weight[0]))[0], torch.autograd.grad((theirs * twin.tensors(weight)).sum(), t)[0][0])


@pytest.mark.parametrize(
    ("labels", "batch", "steps"), [("hard", None, 3), ("soft", 4, 3)], ids=["MTT", "DATM, learned labels in mini-batches"]
)
def test_trajectories(labels, batch, steps):
    """GeorgeCazenavette/mtt-distillation, distill.py: the squared distance from what N steps of plain descent reach to the expert's later
    parameters, over the distance that the expert went. DATM's cross entropy against the softmax of learned labels. Gradients of images,
    step size and labels."""
    net, n = convnet(), 6
    start, unravel = ravel_pytree(net.init(KEY).params)
    aim = start + jnp.asarray(np.random.default_rng(3).normal(0, 0.3, start.shape))
    x, beta = pictures(n, seed=4), 0.3
    y = np.arange(n) % CLASSES if labels == "hard" else np.random.default_rng(5).normal(size=(n, CLASSES))
    synth = SyntheticSet(Pixels(jnp.asarray(x)), Hard(jnp.asarray(y, jnp.int32), CLASSES) if labels == "hard" else Soft(jnp.asarray(y)))
    measure = distance(net, none, Student(steps, batch))
    piece = Piece(start, aim[None], jnp.int32(0))

    def value(x, lr, z):
        told = synth.y if labels == "hard" else Soft(z)
        return measure(KEY, SyntheticSet(Pixels(x), told, lr=lr), piece)[0]

    ours, grads = jax.value_and_grad(value, argnums=(0, 1, 2))(jnp.asarray(x), jnp.float64(beta), jnp.asarray(y, jnp.float64))

    items = inner_items(jax.random.split(KEY)[0], n, batch=batch, steps=steps)
    images, lr, z = (twin.tensors(value, learn=True) for value in (x, beta, y))
    params = twin.tensors(unravel(start), learn=True)
    theta = twin.leaves(params)
    structure = jax.tree.structure(params)
    for index, counts in zip(np.asarray(items.index), np.asarray(items.counts), strict=True):
        index = index[counts > 0]
        told = one_hot(torch.tensor(y[index]), CLASSES).double() if labels == "hard" else z[index].softmax(1)
        loss = -(told * twin.logits(structure.unflatten(theta), images[index]).log_softmax(1)).sum(1).mean()
        slopes = torch.autograd.grad(loss, theta, create_graph=True)
        theta = [w - lr * g for w, g in zip(theta, slopes, strict=True)]
    goal, origin = twin.leaves(twin.tensors(unravel(aim))), twin.leaves(twin.tensors(unravel(start)))
    gap = sum(((a - b) ** 2).sum() for a, b in zip(theta, goal, strict=True))
    total = gap / sum(((a - b) ** 2).sum() for a, b in zip(origin, goal, strict=True))
    same(ours, total)
    learned = (images, lr) if labels == "hard" else (images, lr, z)
    for have, want in zip(grads, torch.autograd.grad(total, learned), strict=False):
        same(have, want)


def test_sre2l():
    """VILA-Lab/SRe2L, SRe2L/recover: cross entropy in evaluation mode and the plain norms of the gaps between a batch's mean and biased
    variance in front of each batch norm and its running ones, the first layer ten times; and the mean norm of the images."""
    net = convnet("batch")
    vars, x, y = net.init(KEY), pictures(5, seed=6), np.array([0, 1, 2, 0, 1])
    settings = RecoverySettings(0.1, 0.05, 10.0, Jitter(1.0, 0.0, False), l2=0.01)
    ours, grad = jax.value_and_grad(lambda x: batch_loss(net, vars, x, jnp.asarray(y, jnp.int32), settings)[0])(jnp.asarray(x))

    params, stats, images, seen = twin.tensors(vars.params), twin.tensors(vars.stats), twin.tensors(x, learn=True), []
    loss = cross_entropy(twin.logits(params, images, stats=stats, seen=seen), torch.tensor(y))
    gaps = [(m - kept["mean"]).norm() + (v - kept["var"]).norm() for (m, v), kept in zip(seen, stats["norms"], strict=True)]
    loss = loss + 0.05 * (10 * gaps[0] + sum(gaps[1:])) + 0.01 * images.flatten(1).norm(dim=1).mean()
    same(ours, loss)
    same(grad, torch.autograd.grad(loss, images)[0])


@pytest.mark.parametrize("flip", [False, True])
def test_frepo(flip):
    """yongchaoz/FRePo, lib/datadistillation/frepo.py: half the squared error of K_ts (K_ss + lambda I)^-1 Y_s with lambda the mean of the
    diagonal times the regularisation, gradients through the synthetic side alone, by images and labels."""
    net, reg = convnet(), 1e-3
    vars, s, x = net.init(KEY), pictures(5, seed=7), pictures(9, seed=8)
    y, z = np.random.default_rng(9).normal(size=(5, CLASSES)), np.random.default_rng(10).normal(size=(9, CLASSES))
    ridge = Ridge(embed(net), one_hot_targets, reg=reg, flip=flip)

    def value(s, y):
        synth = SyntheticSet(Pixels(s), Target(y))
        return jnp.mean(jnp.sum((predict(ridge, vars, synth, jnp.asarray(x))[0] - z) ** 2, 1)) / 2

    ours, grads = jax.value_and_grad(value, argnums=(0, 1))(jnp.asarray(s), jnp.asarray(y))

    params, images, labels = twin.tensors(vars.params), twin.tensors(s, learn=True), twin.tensors(y, learn=True)
    whole = torch.cat([images, images.flip(2)]) if flip else images
    told = torch.cat([labels, labels]) if flip else labels
    fake, real = twin.embed(params, whole), twin.embed(params, twin.tensors(x)).detach()
    gram = fake @ fake.T
    solved = torch.linalg.solve(gram + reg * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64), told)
    loss = 0.5 * ((real @ fake.T @ solved - twin.tensors(z)) ** 2).sum(1).mean()
    same(ours, loss)
    for have, want in zip(grads, torch.autograd.grad(loss, (images, labels)), strict=True):
        same(have, want)


@pytest.mark.parametrize("adaptive", [False, True])
def test_gsam(adaptive):
    """Zhuang et al., ICLR 2022, algorithm 1, as FTD's experts use it: the gradient at w + e minus alpha times the part of the gradient at w
    that is orthogonal to it; e of length rho along the gradient, or along w^2 g."""
    net, rho, alpha = convnet(), 0.1, 0.4
    params, x, y = net.init(KEY).params, pictures(6, seed=11), np.arange(6) % CLASSES

    def objective(params, stats, item):
        chosen = jax.nn.log_softmax(net.apply(Vars(params), jnp.asarray(x), train=True).logits)[jnp.arange(6), jnp.asarray(y)]
        return -chosen.mean(), stats

    (_, _), ours = gsam(objective, rho=rho, alpha=alpha, adaptive=adaptive)(params, (), SimpleNamespace())

    tree = twin.tensors(params, learn=True)
    structure, weights = jax.tree.structure(tree), twin.leaves(tree)

    def slope(weights):
        loss = cross_entropy(twin.logits(structure.unflatten(weights), twin.tensors(x)), torch.tensor(y))
        return torch.autograd.grad(loss, weights)

    g = slope(weights)
    scaled = [w.abs() * one if adaptive else one for w, one in zip(weights, g, strict=True)]
    length = torch.sqrt(sum((one**2).sum() for one in scaled))
    moved = [w.detach() + rho * (w**2 if adaptive else 1) * one / (length + 1e-12) for w, one in zip(weights, g, strict=True)]
    p = slope([w.detach().requires_grad_() for w in moved])
    flat_g, flat_p = (torch.cat([one.flatten() for one in side]) for side in (g, p))
    unit = flat_p / flat_p.norm()
    want = flat_p - alpha * (flat_g - (flat_g @ unit) * unit)
    np.testing.assert_allclose(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(ours)]), want.detach().numpy(), **CLOSE)
