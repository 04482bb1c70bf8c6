"""The rules by which methods set options for the length of a run given in minutes."""

import numpy as np
import pytest

import condense
from matchers import REGISTRY
from matchers.inputs import option_parameters
from synth.options import check_option

RULED = [name for name, method in REGISTRY.items() if method.scaled]
LENGTHS = (1, 7, 30, 100, 300, 1_000, 3_000, 10_000, 100_000, 1_000_000)


@pytest.mark.parametrize("name", RULED)
def test_a_rule_gives_options_of_its_method_in_their_ranges(name):
    method, parameters = REGISTRY[name], option_parameters(REGISTRY[name].load())
    options = {option: parameter.default for option, parameter in parameters.items()}
    for steps in LENGTHS:
        for option, value in method.scale(steps, options, 1).items():
            assert type(value) in (int, float), "a flag of the command without a clock is a number"
            assert check_option(option, value, parameters[option].annotation) == value


@pytest.mark.parametrize("name", RULED)
def test_step_sizes_never_grow_with_the_length(name):
    options = {option: parameter.default for option, parameter in option_parameters(REGISTRY[name].load()).items()}
    sizes = [REGISTRY[name].scale(steps, options, 1).get("lr", 0.0) for steps in LENGTHS]
    assert sizes == sorted(sizes, reverse=True)


def test_a_method_without_a_rule_keeps_its_options():
    assert REGISTRY["kip"].scale(10, {"lr": 0.04}, 1) == {}


def test_frepo_goes_as_far_in_few_steps_as_in_many_and_published_lengths_have_the_published_step_size():
    rule = REGISTRY["frepo"].scale
    assert [rule(steps, {}, 1)["lr"] for steps in (100, 1_000, 2_000, 500_000)] == [0.04, 0.012, 0.006, 3e-4]
    assert [rule(steps, {}, 10)["lr"] for steps in (100, 1_000, 6_000)] == [0.004, 0.004, 0.002], "more images bear smaller steps alone"


@pytest.mark.parametrize("steps", [100, 300, 5_000])
def test_the_mean_of_ftd_has_forgotten_the_first_images_at_the_end(steps):
    """At 0.999, the default, they would weigh 90 and 74 % after the first two."""
    assert REGISTRY["ftd"].scale(steps, {}, None)["decay"] ** steps == pytest.approx(np.exp(-5), rel=0.2)


@pytest.mark.parametrize(("name", "latest"), [("ast", 30), ("mtt", 20)])
def test_experts_are_followed_from_as_early_as_the_images_are_few(name, latest):
    assert [REGISTRY[name].scale(300, {}, images) for images in (1, 10, 50, None)] == [{"max_start": at} for at in (2, 20, latest)] + [{}]
    assert REGISTRY[name].scale(300, {"min_start": 4}, 1) == {}


def test_doscond_falls_at_the_share_of_its_usual_run():
    assert [REGISTRY["doscond"].scale(steps, {}, None) for steps in (1, 50, 1_000)] == [{"decay": 1}, {"decay": 20}, {"decay": 400}]


def test_a_rule_serves_where_steps_are_given_or_usual_and_a_flag_beats_it():
    plans = [
        condense.plan("frepo", "digits?limit=60", **{"ipc": 1, "net": "mlp:width=4", **given})
        for given in ({}, {"steps": 100}, {"lr": 0.5}, {"ipc": 2})
    ]
    assert [made.settings.options["lr"] for made in plans] == [0.012, 0.04, 0.5, 0.012]
    published = condense.plan("frepo", "digits?limit=600", preset="frepo_mnist_1", net="mlp:width=4", batch=9)
    assert published.settings.options["lr"] == 3e-4
