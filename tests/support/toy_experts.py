"""Experts of a tiny network, and the bytes of what they leave."""

from pathlib import Path

import jax

from condense.experts import train_experts

NET, EPOCHS, LR = "mlp:width=4,norm=none,act=relu", 4, 0.1
KEY = jax.random.key(0)


def made(spec, out, *, count=3, epochs=EPOCHS, batch=32, net=NET, lr=LR, **more):
    return train_experts(spec, count=count, epochs=epochs, out=out, net=net, batch=batch, lr=lr, **more)


def arrays(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npy"))}
