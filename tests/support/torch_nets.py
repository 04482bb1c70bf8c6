"""The ConvNet in PyTorch by its formula, on the parameters of ours: convolution, norm, ReLU, average pool, linear head."""

import jax
import numpy as np
import torch
import torch.nn.functional as F

EPSILON = 1e-5  # of instance and batch norm, PyTorch's default


def tensors(tree, *, learn: bool = False):
    """The arrays of a tree as float64 tensors."""
    return jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf, np.float64)).requires_grad_(learn), tree)


def leaves(tree) -> list[torch.Tensor]:
    """The tensors of a tree, in JAX's order."""
    return jax.tree.leaves(tree)


def embed(params, x: torch.Tensor, *, stats=None, seen: list | None = None) -> torch.Tensor:
    """Features of images [b h w c] under instance norm, or under batch norm with its running `stats`. `seen` collects the mean and biased
    variance of every norm's input."""
    x = x.permute(0, 3, 1, 2)
    for i, (conv, norm) in enumerate(zip(params["convs"], params["norms"], strict=True)):
        x = F.conv2d(x, conv["kernel"].permute(3, 2, 0, 1), conv["bias"], padding=1)
        axes = (2, 3) if stats is None else (0, 2, 3)
        mean, var = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
        if seen is not None:
            seen.append((mean.flatten(), var.flatten()))
        if stats is not None:
            mean, var = (stats["norms"][i][name][None, :, None, None] for name in ("mean", "var"))
        x = (x - mean) / torch.sqrt(var + EPSILON) * norm["scale"][None, :, None, None] + norm["bias"][None, :, None, None]
        x = F.avg_pool2d(F.relu(x), 2)
    return x.permute(0, 2, 3, 1).flatten(1)


def logits(params, x: torch.Tensor, **more) -> torch.Tensor:
    """The logits of images [b h w c]."""
    return embed(params, x, **more) @ params["head"]["kernel"] + params["head"]["bias"]
