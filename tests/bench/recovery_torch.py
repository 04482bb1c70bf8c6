"""The recovery step in PyTorch, in two writings: slot by slot with hooks, and all slots at once, channels last."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.bench.recovery import CLASSES, SETTINGS, SLOTS

MEAN, STD = 0.3, 0.3


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def conv(held: dict, **how) -> nn.Conv2d:
    kernel = tensor(held["kernel"]).permute(3, 2, 0, 1).contiguous()
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], bias="bias" in held, **how)
    layer.weight.data = kernel
    if "bias" in held:
        layer.bias.data = tensor(held["bias"])
    return layer


def norm(held: dict, stats: dict) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(len(held["scale"]))
    layer.weight.data, layer.bias.data = tensor(held["scale"]), tensor(held["bias"])
    layer.running_mean.data, layer.running_var.data = tensor(stats["mean"]), tensor(stats["var"])
    return layer


class ConvNet(nn.Module):
    """Blocks of convolution, norm, ReLU and average pooling; 28x28 images are padded to 32x32."""

    def __init__(self, params, stats):
        super().__init__()
        blocks = []
        for i, held in enumerate(params["convs"]):
            layer = norm(params["norms"][i], stats["norms"][i])
            blocks += [conv(held, padding=1 if i else 3), layer, nn.ReLU(), nn.AvgPool2d(2)]
        self.features = nn.Sequential(*blocks)
        kernel = params["head"]["kernel"].reshape(4, 4, -1, CLASSES).transpose(3, 2, 0, 1).reshape(CLASSES, -1)
        self.head = nn.Linear(kernel.shape[1], CLASSES)
        self.head.weight.data, self.head.bias.data = tensor(kernel), tensor(params["head"]["bias"])

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Block(nn.Module):
    """The residual block of small images."""

    def __init__(self, params, stats, stride):
        super().__init__()
        self.conv1, self.norm1 = conv(params["conv1"], padding=1, stride=stride), norm(params["norm1"], stats["norm1"])
        self.conv2, self.norm2 = conv(params["conv2"], padding=1), norm(params["norm2"], stats["norm2"])
        self.short = nn.Identity()
        if "conv3" in params:
            self.short = nn.Sequential(conv(params["conv3"], stride=stride), norm(params["norm3"], stats["norm3"]))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.short(x))


class ResNet(nn.Module):
    """ResNet-8; 28x28 images are padded to 32x32."""

    def __init__(self, params, stats):
        super().__init__()
        self.stem, self.norm = conv(params["stem"], padding=3), norm(params["norm"], stats["norm"])
        pairs = zip(params["blocks"], stats["blocks"], strict=True)
        self.blocks = nn.Sequential(*[Block(p, s, 1 if i == 0 else 2) for i, (p, s) in enumerate(pairs)])
        self.head = nn.Linear(*params["head"]["kernel"].shape)
        self.head.weight.data = tensor(params["head"]["kernel"].T)
        self.head.bias.data = tensor(params["head"]["bias"])

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.norm(self.stem(x)))).mean((2, 3)))


class Gap:
    """A hook on every norm: the distances of its input's statistics from the running ones, for `slots` equal parts of the batch."""

    def __init__(self, net: nn.Module, slots: int):
        self.slots, self.found = slots, []
        for layer in [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]:
            layer.register_forward_hook(self.hook)

    def hook(self, layer, inputs, output):
        x = inputs[0]
        parts = x.view(self.slots, -1, *x.shape[1:]) if self.slots > 1 else x[None]
        var, mean = torch.var_mean(parts, dim=(1, 3, 4), unbiased=False)
        self.found.append((layer.running_var - var).norm(2, 1) + (layer.running_mean - mean).norm(2, 1))

    def total(self) -> torch.Tensor:
        """Over layers, of every slot, the first ten times."""
        value = SETTINGS["first"] * self.found[0] + sum(self.found[1:])
        self.found = []
        return value


def make(arrays: list, images: np.ndarray, *, together: bool):
    """(the first step's gradient f32[slots classes h w], a step without arguments)."""
    form = torch.channels_last if together else torch.contiguous_format
    nets = [kind(held["params"], held["stats"]).eval().to(memory_format=form) for kind, held in zip((ConvNet, ResNet), arrays, strict=True)]
    for net in nets:
        net.requires_grad_(False)
    gaps = [Gap(net, SLOTS if together else 1) for net in nets]
    low, high = -MEAN / STD, (1 - MEAN) / STD
    labels = torch.arange(CLASSES)
    whole = torch.from_numpy(images)[:, :, None]

    def slopes(x, slots):
        """Accumulates the gradient of the sum over slots into x."""
        for net, gap in zip(nets, gaps, strict=True):
            entropy = F.cross_entropy(net(x), labels.repeat(slots), reduction="sum") / CLASSES
            ((entropy + SETTINGS["alpha_bn"] * gap.total().sum()) / len(nets)).backward()

    def fresh(part):
        return part.clone(memory_format=form).requires_grad_()

    pieces = [fresh(whole.reshape(-1, *whole.shape[2:]))] if together else [fresh(part) for part in whole]
    optimizers = [torch.optim.Adam([x], lr=SETTINGS["lr"], betas=(0.5, 0.9), eps=1e-8) for x in pieces]

    def step():
        for x, optimizer in zip(pieces, optimizers, strict=True):
            optimizer.zero_grad()
            slopes(x, SLOTS if together else 1)
            optimizer.step()
            x.data.clamp_(low, high)

    for x in pieces:
        slopes(x, SLOTS if together else 1)
    return torch.cat([x.grad for x in pieces]).reshape(SLOTS, CLASSES, *images.shape[2:]).numpy().copy(), step
