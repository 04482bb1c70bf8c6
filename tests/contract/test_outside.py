"""A method and a network from another package: installed, they are there by name, without a change here."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from tests.support.places import ROOT

FILES = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "outsider"
        version = "0.1"
        [project.entry-points."condense.methods"]
        pull = "outsider:PULL"
        [project.entry-points."condense.nets"]
        linear_sketch = "outsider.net:linear_sketch"
        """,
    "outsider/__init__.py": """
        from matchers.method import Method
        PULL = Method("pull", "outsider.pull:pull", "Pulls every image to the mean of its class.")
        """,
    "outsider/pull.py": '''
        from typing import Annotated
        import jax.numpy as jnp
        import optax
        from matchers.base import PerClass, descend
        from synth.options import Positive

        def pull(net, *, lr: Annotated[float, Positive] = 0.5):
            """Pulls every image to the mean of its class.

            L = sum_i || s_i - mean of the real images of its class ||^2 / 2

            Args:
              net: is not used.
              lr: step size (> 0).
            """

            def loss(key, synth, aux, real):
                target = jnp.repeat(real.mean(1), len(synth) // len(real), 0)
                return ((synth.x.decode() - target) ** 2).sum() / 2, {}

            return descend(loss, optax.sgd(lr), feed=PerClass(8))
        ''',
    "outsider/net.py": '''
        from flax import nnx

        def linear_sketch(*, width: int = 4):
            """A linear sketch of the image, and a head."""

            def construct(image, classes):
                h, w, c = image

                class Sketch(nnx.Module):
                    def __init__(self, rngs):
                        self.first, self.head = nnx.Linear(h * w * c, width, rngs=rngs), nnx.Linear(width, classes, rngs=rngs)

                    def features(self, x):
                        return self.first(x.reshape(len(x), -1))

                return Sketch

            return construct
        ''',
}


@pytest.mark.slow
def test_an_installed_package_adds_a_method_and_a_network(tmp_path):
    for name, text in FILES.items():
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text(dedent(text))
    install = ["install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", tmp_path / "site", tmp_path / "package"]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    where = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])

    def condense(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "condense", *words], cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": where}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Pulls every image to the mean of its class." in condense("list", "methods")
    assert "linear_sketch" in condense("list", "nets")
    assert "--lr" in condense("distill", "pull", "--help")
    call = ["distill", "pull", "--data", "digits", "--ipc", "1", "--net", "linear_sketch:width=3", "--steps", "2", "--out", "run"]
    assert "run/set.npz" in condense(*call)
    assert "linear_sketch:width=3" in condense(
        "evaluate", "run", "--recipe", "quick", "--epochs", "1", "--seeds", "1", "--rows", "distilled"
    )
