"""The rules by which methods set options for the length of a run given in minutes."""

import json
import re

import numpy as np
import pytest

import condense
from condense.__main__ import run
from matchers import REGISTRY
from matchers.inputs import option_parameters
from synth.options import check_option, flag_of
from tests.support.methods import built
from tests.support.places import ROOT

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


@pytest.mark.parametrize("name", REGISTRY)
def test_a_method_of_many_steps_says_what_becomes_of_its_step_sizes(name):
    """The options that change with the steps, or that none does and what was measured; what is said of a rule is what it does."""
    method, kind = REGISTRY[name], REGISTRY[name].modalities[0]
    if built(name, kind).host:
        assert not method.length and not method.scaled
        return
    options = {option: parameter.default for option, parameter in option_parameters(method.load()).items()}
    rules = [method.scale(steps, options, 1) for steps in LENGTHS]
    moved = {option for rule in rules for option, value in rule.items() if value != rules[0][option]}
    assert all(flag_of(option) in method.length for option in moved)
    assert method.length.startswith(("any length: ", "not measured: ")) == (not moved)
    unfitted = json.loads((ROOT / "docs" / "experiments" / "length_rules.json").read_text())["not_fitted"]
    if "not measured" in method.length:
        assert re.search(rf"\b{name}\b", unfitted), "the record says so too"


def test_help_says_it_beside_the_minutes_of_a_run_and_not_of_a_search(capsys):
    for verb, said in (("distill", True), ("tune", False)):
        assert run([verb, "dc", "--help"]) == 0
        words = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert ("may take here; not measured: step sizes keep their defaults at any length" in words) == said


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
