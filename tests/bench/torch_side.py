"""The same work in PyTorch, in two writings: as the papers' code does it, and channels_last in micro-batches that stay in the cache."""

import time
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.bench import problem
from tests.bench.problem import CLASSES, SIDE

PIECE = 16  # the fastest of 8, 16, 32, 64 on the machine where this was written


class ConvNet(nn.Module):
    """The papers' network: the first convolution pads 28x28 by 3, which is 32x32 padded by 1."""

    def __init__(self, numbers):
        super().__init__()
        blocks = []
        for i, (kernel, bias, scale, shift) in enumerate(numbers["blocks"]):
            c, w = kernel.shape[2:]
            conv, norm = nn.Conv2d(c, w, 3, padding=1 if i else 3), nn.GroupNorm(w, w)
            values = (kernel.transpose(3, 2, 0, 1), bias, scale, shift)
            for parameter, value in zip((conv.weight, conv.bias, norm.weight, norm.bias), values, strict=True):
                parameter.data = torch.from_numpy(value.copy())
            blocks += [conv, norm, nn.ReLU(inplace=False), nn.AvgPool2d(2)]
        self.features = nn.Sequential(*blocks)
        kernel, bias = numbers["head"]
        self.head = nn.Linear(kernel.shape[0], CLASSES)
        rows = kernel.reshape(4, 4, -1, CLASSES).transpose(3, 2, 0, 1).reshape(CLASSES, -1)
        self.head.weight.data, self.head.bias.data = torch.from_numpy(rows.copy()), torch.from_numpy(bias.copy())

    def embed(self, x):
        return self.features(x).flatten(1)

    def forward(self, x):
        return self.head(self.embed(x))


class Works:
    """The units of work on one network; `pieces` chooses the second writing."""

    def __init__(self, sizes: problem.Sizes, numbers: dict, pieces: bool):
        self.sizes, self.numbers = sizes, numbers
        self.form = torch.channels_last if pieces else torch.contiguous_format
        self.cut = (lambda x: x.split(PIECE)) if pieces else (lambda x: (x,))
        self.net = ConvNet(numbers).to(memory_format=self.form)
        self.params = list(self.net.parameters())
        self.aim = [p.detach() for p in ConvNet({**numbers, **numbers["aim"]}).parameters()]
        self.real = [self.images(x) for x in numbers["real"]]
        self.whole = self.images(numbers["synthetic"])
        real, classes = problem.mixed(numbers["real"])
        self.mixed, self.classes = self.images(real), torch.from_numpy(classes)
        self.labels = torch.arange(CLASSES).repeat_interleave(sizes.synthetic)

    def images(self, x):
        return torch.from_numpy(x.reshape(-1, 1, SIDE, SIDE)).contiguous(memory_format=self.form)

    def learn(self, parameters: bool):
        """Fresh synthetic images with their optimiser; whether the network's parameters take gradients."""
        for p in self.params:
            p.requires_grad_(parameters)
        synthetic = self.images(self.numbers["synthetic"]).clone(memory_format=self.form).requires_grad_()
        return synthetic, torch.optim.SGD([synthetic], lr=problem.LR_IMAGE, momentum=problem.MOMENTUM_IMAGE)

    def of_class(self, synthetic, c: int):
        return synthetic[c * self.sizes.synthetic : (c + 1) * self.sizes.synthetic]

    def dm(self):
        synthetic, optimizer = self.learn(parameters=False)
        total = 0.0
        for c in range(CLASSES):
            with torch.no_grad():
                target = sum(self.net.embed(x).sum(0) for x in self.cut(self.real[c])) / self.sizes.real
            loss = ((target - self.net.embed(self.of_class(synthetic, c)).mean(0)) ** 2).sum()
            loss.backward()
            total += loss.item()
        optimizer.step()
        return torch.tensor(total), synthetic.detach()

    def dc(self):
        synthetic, optimizer = self.learn(parameters=True)
        total, synthetic.grad = 0.0, torch.zeros_like(synthetic)
        for c in range(CLASSES):
            target = [torch.zeros_like(p) for p in self.params]
            for x in self.cut(self.real[c]):
                loss = F.cross_entropy(self.net(x), torch.full((len(x),), c), reduction="sum") / self.sizes.real
                for t, g in zip(target, torch.autograd.grad(loss, self.params), strict=True):
                    t += g
            x = self.of_class(synthetic, c)
            gradient = torch.autograd.grad(F.cross_entropy(self.net(x), torch.full((len(x),), c)), self.params, create_graph=True)
            loss = distance(target, gradient)
            synthetic.grad += torch.autograd.grad(loss, synthetic)[0]
            total += loss.item()
        optimizer.step()
        return torch.tensor(total), synthetic.detach()

    def mtt(self):
        synthetic, optimizer = self.learn(parameters=True)
        beta = torch.tensor(problem.STEP_SIZE, dtype=synthetic.dtype, requires_grad=True)
        loss = self.distance(synthetic, beta)
        synthetic.grad, _ = torch.autograd.grad(loss, [synthetic, beta])
        optimizer.step()
        return loss.detach(), synthetic.detach()

    def distance(self, synthetic, beta):
        """|| theta_N - theta* ||^2 / || theta_0 - theta* ||^2, its graph through all N steps."""
        names, start = zip(*self.net.named_parameters(), strict=True)
        theta = start
        for _ in range(self.sizes.steps):
            entropy = 0.0
            for x, y in zip(self.cut(synthetic), self.cut(self.labels), strict=True):
                logits = torch.func.functional_call(self.net, dict(zip(names, theta, strict=True)), x)
                entropy = entropy + F.cross_entropy(logits, y, reduction="sum") / len(synthetic)
            slopes = torch.autograd.grad(entropy, theta, create_graph=True)
            theta = [p - beta * g for p, g in zip(theta, slopes, strict=True)]
        left, way = (sum(((p - q) ** 2).sum() for p, q in zip(t, self.aim, strict=True)) for t in (theta, [p.detach() for p in start]))
        return left / way

    def frepo(self):
        """One outer step: ridge regression on a network's features, LAMB on images and labels, an Adam step of the network on the set."""
        loss, x, y = self.ridge()
        loss.backward()
        with torch.no_grad():
            for leaf in (x, y):  # the first step of LAMB: both bias corrections cancel
                mean, square = 0.1 * leaf.grad, 0.001 * leaf.grad**2
                move = mean / 0.1 / ((square / 0.001).sqrt() + 1e-6)
                leaf -= problem.LR_LAMB * leaf.norm() / move.norm() * move
        for p in self.params:
            p.requires_grad_(True)
        optimizer = torch.optim.Adam(self.params, lr=problem.LR_POOL)
        optimizer.zero_grad()
        pieces = self.cut(x.detach())
        for part, target in zip(pieces, y.detach().split([len(part) for part in pieces]), strict=True):
            (((self.net(part) - target) ** 2).sum() / 2 / len(x)).backward()
        optimizer.step()
        return loss.detach(), x.detach(), y.detach()

    def ridge(self):
        """(loss, images, labels) before the gradient is taken."""
        with torch.no_grad():
            for p, value in zip(self.params, ConvNet(self.numbers).parameters(), strict=True):
                p.copy_(value)
                p.requires_grad_(False)
        x = self.whole.clone(memory_format=self.form).requires_grad_()
        y = (F.one_hot(self.labels, CLASSES).float() - 1 / CLASSES).requires_grad_()
        with torch.no_grad():
            real = torch.cat([self.net.embed(part) for part in self.cut(self.mixed)])
        fake = torch.cat([self.net.embed(part) for part in self.cut(x)])
        gram = fake @ fake.T
        ridged = gram + problem.REG * gram.trace() / len(gram) * torch.eye(len(gram))
        off = real @ fake.T @ torch.cholesky_solve(y, torch.linalg.cholesky(ridged)) - (F.one_hot(self.classes, CLASSES) - 1 / CLASSES)
        top = y.topk(2).values
        return (off**2).sum(1).mean() / 2 - torch.clamp(top[:, 0] - top[:, 1], max=1 / CLASSES).mean(), x, y

    def retrain(self):
        with torch.no_grad():
            for p, value in zip(self.params, ConvNet(self.numbers).parameters(), strict=True):
                p.copy_(value)
                p.requires_grad_(True)
        settings = {"lr": problem.LR_NET, "momentum": problem.MOMENTUM_NET, "weight_decay": problem.DECAY_NET}
        optimizer = torch.optim.SGD(self.params, **settings)
        for _ in range(problem.EPOCHS):
            optimizer.zero_grad()
            for x, y in zip(self.cut(self.whole), self.cut(self.labels), strict=True):
                (F.cross_entropy(self.net(x), y, reduction="sum") / len(self.whole)).backward()
            optimizer.step()
        return self.net


def make(sizes: problem.Sizes, numbers: dict, *, pieces: bool) -> dict:
    """{work: function without arguments that returns tensors or the trained network}."""
    works = Works(sizes, numbers, pieces)
    return {"dm": works.dm, "dc": works.dc, "retrain": works.retrain, "mtt": works.mtt, "frepo": works.frepo, "ridge": works.ridge}


def exact(sizes: problem.Sizes, numbers: dict) -> list[np.ndarray]:
    """The student's loss and its gradient by images and step size, in double precision."""
    works = Works(sizes, numbers, pieces=False)
    works.net, works.aim = works.net.double(), [p.double() for p in works.aim]
    synthetic = works.whole.double().requires_grad_()
    beta = torch.tensor(problem.STEP_SIZE, dtype=torch.float64, requires_grad=True)
    loss = works.distance(synthetic, beta)
    by_images, by_beta = torch.autograd.grad(loss, [synthetic, beta])
    return [loss.detach().numpy(), by_images.numpy().transpose(0, 2, 3, 1).reshape(CLASSES, -1, SIDE, SIDE, 1), by_beta.numpy()]


def distance(a, b):
    """sum over kernels and output rows of 1 - cos, vectors left out (Zhao et al., ICLR 2021)."""

    def gap(g, h):
        g, h = g.reshape(len(g), -1), h.reshape(len(h), -1)
        return (1 - (g * h).sum(1) / (g.norm(dim=1) * h.norm(dim=1) + 1e-6)).sum()

    return sum(gap(g, h) for g, h in zip(a, b, strict=True) if g.ndim > 1)


def answers(works: dict) -> dict[str, list[np.ndarray]]:
    """Results in the layout of problem.numbers, as in jax_side.answers."""
    pictures = lambda x: x.numpy().transpose(0, 2, 3, 1).reshape(CLASSES, -1, SIDE, SIDE, 1)  # noqa: E731
    result = {name: [loss.numpy(), pictures(x)] for name, (loss, x) in ((name, works[name]()) for name in ("dm", "dc", "mtt"))}
    loss, x, y = works["ridge"]()
    loss.backward()
    result |= {"frepo": [loss.detach().numpy(), pictures(x.grad), y.grad.numpy()]}
    net = works["retrain"]()
    kernels = [net.features[i].weight.detach().numpy().transpose(2, 3, 1, 0) for i in (0, 8)]
    head = net.head.weight.detach().numpy()
    return result | {"retrain": [*kernels, head.reshape(CLASSES, -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, CLASSES)]}


def timed(fn) -> tuple[float, float]:
    """(wall seconds, processor seconds of all threads) of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    fn()
    return time.perf_counter() - wall, time.process_time() - processor


def matmul() -> float:
    """GFLOP/s of the better of five 2048x2048 products."""
    a = torch.ones(2048, 2048)
    return max(2 * 2048**3 / timed(partial(torch.matmul, a, a))[0] / 1e9 for _ in range(6))
