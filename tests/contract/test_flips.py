"""Whether a mirrored image keeps its label is the data's to say: every place that draws views asks it."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data import modality
from condense.data.load import load_data
from condense.evaluation import images as scoring
from condense.experts import train_experts
from condense.inputs import augment
from condense.inputs.context import Context
from condense.inputs.task import task_of
from condense.teachers import self_supervised
from condense.teachers import train as teachers
from condense.teachers.self_supervised import train_ssl_teacher
from condense.workflows import relabel
from evals.protocol import ScoringNetwork
from evals.recipes import recipe
from matchers import REGISTRY
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.images.views import view_of
from synth.labels.plain import Hard
from synth.set import SyntheticSet
from tests.support.three_classes import three_classes

NET = "mlp:width=4,norm=batch"


class Seen(Exception):
    """What was looked for has been seen."""


@pytest.fixture(scope="module", params=[False, True])
def data(request, tmp_path_factory):
    """Data that may be mirrored, and data that may not."""
    spec = three_classes(tmp_path_factory.mktemp("data")).spec
    return load_data(f"{spec}?flip={str(request.param).lower()}")


def spy(monkeypatch, place, name):
    """What a function of a module is called with, by position and by name."""
    calls, real = [], getattr(place, name)
    monkeypatch.setattr(place, name, lambda *args, **more: (calls.append((args, more)), real(*args, **more))[1])
    return calls


def context(data, out=None):
    return Context(REGISTRY["dm"], data, NET, 0, out, 1)


def test_retraining(data, monkeypatch):
    strategies, made = spy(monkeypatch, scoring, "dsa_strategy"), spy(monkeypatch, scoring, "make_trainer")
    for name, chosen in (("dsa", recipe("dsa", epochs=1)), ("cvdd", recipe("cvdd", epochs=1))):
        scoring.build_trainer(ScoringNetwork(name, nets.build(NET, data.image, 3)), chosen, data)
    assert [args for args, _ in strategies] == [(data.flips,)] * 2
    assert made[0][1]["view"] is None and made[1][1]["view"].flip == data.flips


def test_methods(data, monkeypatch, tmp_path):
    strategies = spy(monkeypatch, modality, "dsa_strategy")
    augment.find(context(data))
    assert strategies == [((data.flips,), {})]
    for out in (None, tmp_path):
        task = task_of(context(data, out))
        assert task.flips == data.flips and task.plan("cvdd").view.flip == data.flips


def test_experts(data, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("condense.data.modality.dsa_strategy", lambda flips: seen.append(flips) or "flip")
    train_experts(data, count=1, epochs=1, out=tmp_path, net="mlp:width=2")
    assert seen == [data.flips]


def test_teachers(data, monkeypatch):
    views = spy(monkeypatch, teachers, "View")
    teachers.trainer(nets.build(NET, data.image, 3), data, teachers.TeacherRecipe(1, 0.1, 8))
    assert [more["flip"] for _, more in views] == [data.flips]


def test_self_supervised_teachers(data, monkeypatch, tmp_path):
    seen = []

    def stop(net, config, shape, *, ranges):
        seen.append(ranges.flips)
        raise Seen

    self_supervised._compiled.cache_clear()
    monkeypatch.setattr(self_supervised, "make_training", stop)
    with pytest.raises(Seen):
        train_ssl_teacher(data, tmp_path, net=NET, epochs=1, batch=8, projector=2)
    assert seen == [data.flips]


def test_labels_of_teachers(data, monkeypatch):
    """Those of a set that is there."""
    plans = []

    def stop(key, kind, x, index, classes, known, plan, **more):
        plans.append(plan.view.flip)
        raise Seen

    monkeypatch.setattr(relabel, "label", stop)
    monkeypatch.setattr(relabel, "take_data", lambda synth, given: data)
    synth = SyntheticSet(Pixels(jnp.zeros((3, *data.image))), Hard(jnp.arange(3, dtype=jnp.int32), 3), info=SimpleNamespace(recipe=""))
    with pytest.raises(Seen):
        relabel.relabel(synth, None, (), "committee", data=data)
    assert plans == [data.flips]


def test_a_view_without_flip_shows_every_image_as_it_stands(data):
    """What the wiring above hands over is heeded: of many views of a lopsided image some are mirrored, or none is."""
    view = view_of("flip") if data.flips else view_of("flip").unflipped()
    x = jnp.zeros((64, 4, 4, 1)).at[:, :, 0].set(1)
    seen, _ = view.sample(jax.random.key(0), x)
    assert bool(np.asarray(seen)[:, :, 3].any()) == data.flips


def test_the_words_for_it_are_read(data):
    with pytest.raises(BadInput, match="flip=maybe"):
        load_data(f"{data.spec.split('?')[0]}?flip=maybe")
