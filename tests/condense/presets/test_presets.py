"""What presets say beside their settings: the commands that come first, the recipes that labels are for."""

import re
import shlex

import pytest
from PIL import Image

from condense import nets, presets
from condense.__main__ import run
from condense.cli import experts, rank, teachers
from condense.cli.flags import parse
from condense.teachers.labelling import plan_of
from condense.workflows.options import settle
from condense.workflows.plan import COUNTS, plan, remarks
from evals.recipes import recipe
from matchers import REGISTRY
from matchers.base import Matcher
from matchers.inputs import flagged_inputs, option_parameters
from synth.labelling import check_room
from tests.support.factories import build_method, complete_options
from tests.support.toy_teachers import committee, priors, task

FIRST = [name for name, preset in presets.PRESETS.items() if preset.first]
LABELLED = [name for name, preset in presets.PRESETS.items() if "teachers" in flagged_inputs(REGISTRY[preset.method].load())]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_states_every_option_of_its_method(name):
    """So that a default can change, as those of first calls do, and no published setting with it."""
    preset = presets.PRESETS[name]
    assert not option_parameters(REGISTRY[preset.method].load()).keys() - preset.settings.keys()


@pytest.mark.parametrize("name", FIRST)
def test_the_command_that_comes_first_can_be_given(name):
    preset = presets.PRESETS[name]
    program, verb, *flags = shlex.split(preset.first)
    records = {"teachers": teachers.RECORD, "rank": rank.RECORD}
    record = records.get(verb) or experts.recipe_class(flags[flags.index("--recipe") + 1])
    call = parse(record, flags, f"condense {verb}")
    assert (program, call.data, call.out) == ("condense", preset.data, "X") and preset.flag() in flagged_inputs(
        REGISTRY[preset.method].load()
    )
    assert all(nets.canonical(net) for net in ([call.net] if isinstance(call.net, str) else call.net or []))


@pytest.mark.slow
def test_the_settings_of_pca_on_imagenet_can_be_planned(tmp_path, monkeypatch):
    """On a folder of a few pictures in its place; the proxies are still to be trained."""
    for part, count in (("train", 12), ("val", 1)):
        for name in ("cat", "dog"):
            (folder := tmp_path / "imagenet" / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    for name, ipc in (("pca_imagenet_10", 10), ("pca_imagenet_50", 50)):
        made = plan("pca", None, preset=name)
        assert (made.per_class, made.recipe, made.data.image) == (ipc, "rethinking_hard", (224, 224, 3))
        assert nets.parse(made.net)[0] == "resnet18" and [one.kind for one in made.to_make()] == ["ranks"]
        assert made.settings.options == {"by": "el2n", "rule": "easy", "grid": 2, "inside": True}


def test_every_published_preset_of_teachers_names_theirs():
    """Without them a run makes small ones of five epochs, which no published score is of."""
    published = [p for p in presets.statistics.PRESETS if not p.source.startswith("scaled down")]
    assert len(published) > 30 and all(p.first.startswith("condense teachers ") for p in published)


@pytest.mark.parametrize(("more", "lines"), [({}, 1), ({"teachers": "t"}, 0)])
def test_a_run_of_a_published_preset_says_whose_teachers_it_lacks(more, lines):
    method = REGISTRY["sre2l"]
    common = dict.fromkeys((*COUNTS, "minutes", "data", "net", "start"))
    settings = settle(method, method.load(), "sre2l_tiny_50", common, more)
    told = remarks(method, Matcher(print, print), "sre2l_tiny_50", settings, common)
    assert ["first condense teachers --data" in line for line in told] == [True] * lines


def test_a_preset_scored_under_another_recipe_than_its_method_says_so(capsys):
    assert run(["list", "presets"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    told = {name for name, line in lines.items() if "by `condense evaluate DIR --recipe dc_digits`" in line}
    assert told == {"dc_mnist_1", "dc_mnist_10", "dc_mnist_50"}


# what the papers and their code state: epochs, batch, temperature, mix
STATED = {
    "sre2l_cifar": (400, 128, 30, "mixup"),
    "sre2l_cifar100_50": (800, 128, 30, "mixup"),  # the author's answer in VILA-Lab/SRe2L#10
    "sre2l_tiny": (100, 256, 20, ""),  # zeyuanyin/tiny-imagenet, script/train_kd.sh
    "sre2l_imagenet": (300, 1024, 20, "cutmix"),
    "cvdd": (300, 16, 20, "cutmix"),
    "fadrm_cifar": (1000, 16, 20, "cutmix"),
    "fadrm_imagenet": (300, 16, 20, "cutmix"),
    "gvbsm_cifar": (1000, 100, 20, "cutmix"),
    "edc_cifar": (1000, 10, 20, "cutmix"),
    "infer_cifar": (400, 64, 30, "mixup"),
    "infer_imagenet": (300, 128, 20, "cutmix"),
    "rded": (300, 0, 20, "cutmix"),  # 0: by the number of images, see `batch_of`
}


@pytest.mark.parametrize("name", LABELLED)
def test_recipes_of_presets_show_the_views_that_are_stated(name):
    """Through the plan that labelling takes; a change here changes the bytes and the meaning of published labels."""
    preset = presets.PRESETS[name]
    own = {key: value for key, value in preset.settings.items() if key in option_parameters(REGISTRY[preset.method].load())}
    handed = {"teachers": committee(5, image=(32, 32, 3)), "priors": priors(5), "task": task((32, 32, 3), flips=True)}
    matcher = build_method(preset.method, complete_options(preset.method, own), **handed)
    plan = plan_of(recipe(matcher.recipe, epochs=own.get("label_epochs")), (64, 64, 3), True)
    starts = [start for start in STATED if name.startswith(start) and preset.first and not name.endswith("_dyn")]
    assert plan.view.mix or name.startswith("sre2l_tiny")
    for stated in [STATED[max(starts, key=len)]] if starts else []:
        assert (plan.epochs, plan.batch, plan.temperature, plan.view.mix) == stated
    if preset.first:  # the record says how often the release looks at the test images, and the recipe looks as often
        told, scored = (
            re.match(r"every (\d+) epochs(?: after (\d+))?", preset.origin.looks),
            recipe(preset.origin.recipe or matcher.recipe),
        )
        assert (scored.look_every, scored.look_from * scored.epochs) == (tuple(int(n or 0) for n in told.groups()) if told else (0, 0))


# what they state of recoveries: steps, step size, weight of the statistics, least crop (1 for none), pixels of the roll, whether that goes
# both ways. INFER states nothing of its own for Tiny ImageNet.
RECOVERED = {
    "sre2l_cifar": (1000, 0.25, 0.01, 1.0, 4, False),
    "sre2l_tiny": (4000, 0.1, 1.0, 0.08, 4, True),
    "sre2l_imagenet": (4000, 0.25, 0.01, 0.08, 32, False),
    "cvdd_cifar": (4000, 0.25, 0.01, 0.08, 4, False),
    "cvdd_cifar10_10_script": (200, 0.25, 0.01, 0.08, 4, False),  # Jiacheng8/CV-DD, recover/scripts/cifar10_experiments
    "cvdd_tiny": (4000, 0.25, 0.01, 0.08, 4, False),
    "cvdd_imagenet": (4000, 0.25, 0.01, 0.08, 32, False),
    "fadrm_cifar": (2000, 0.25, 0.01, 0.08, 4, False),
    "fadrm_imagenet": (2000, 0.25, 0.01, 0.08, 32, False),
    "gvbsm_cifar": (4000, 0.05, 0.01, 1.0, 31, False),
    "edc_cifar": (75, 0.05, 0.01, 0.08, 0, False),
    "infer_cifar": (1000, 0.25, 1.0, 1.0, 4, False),
    "infer_imagenet": (2000, 0.25, 0.01, 0.08, 32, False),
}
SIZES = {"cifar10": (10, 32), "cifar100": (100, 32), "folder:tiny": (200, 64), "folder:imagenet": (1000, 224)}  # classes, pixels a side


def sizes(preset) -> tuple[int, int]:
    """Classes and pixels a side of a published preset's data."""
    return SIZES[preset.data.partition("?")[0].partition("-")[0]]


@pytest.mark.parametrize("start", RECOVERED)
def test_recoveries_of_presets_have_the_numbers_that_are_stated(start):
    """The preset's over its method's defaults; a change here makes other images than the published ones."""
    fits = {name: max((one for one in RECOVERED if name.startswith(one)), key=len, default="") for name in presets.PRESETS}
    found = [preset for name, preset in presets.PRESETS.items() if fits[name] == start and preset.first]
    assert found
    for preset in found:
        known, settings = option_parameters(REGISTRY[preset.method].load()), preset.settings
        own = complete_options(preset.method, {key: value for key, value in settings.items() if key in known})
        pixels = round(own["roll"] * sizes(preset)[1])
        numbers = (settings["steps"], own["lr"], own["alpha_bn"], own["crop"], pixels, own.get("both_ways", False))
        assert numbers == RECOVERED[start] and own["first"] == 10 and own.get("batch", 100) == 100
        assert own.get("patches", "none") == ("medium" if preset.method in ("cvdd", "fadrm") else "none")


def test_labels_asked_anew_take_the_steps_of_a_set_without_compensators():
    """INFER+Dyn: five examples for one of the other methods on small images, four on large ones; as its scripts have it."""
    stated = {"cifar10": 80, "cifar100": 80, "tiny": 80, "imagenet": 75}
    found = {name: preset.settings for name, preset in presets.PRESETS.items() if name.endswith("_dyn")}
    assert len(found) == 9
    for name, settings in found.items():
        assert settings["label_epochs"] == stated[name.split("_")[1]] and settings["labels"] == "online"


def test_the_committees_are_the_published_ones():
    """Of CV-DD, FADRM and INFER, in their order; on ImageNet INFER has three, and on small images the first two a ShuffleNetV2 of half the
    width."""
    cvdd = ["resnet18:norm=batch", "resnet50", "shufflenet_v2", "mobilenet_v2", "densenet121"]
    four = ["resnet18:norm=batch", "mobilenet_v2", "efficientnet_b0", "shufflenet_v2"]
    half = [net.replace("shufflenet_v2", "shufflenet_v2:width=48") for net in cvdd]
    for name, expected in {
        "cvdd_cifar10_1": half,
        "cvdd_tiny_10": half,
        "cvdd_imagenet_10": cvdd,
        "fadrm_cifar100_10": [half[0], half[4], half[2], half[3]],
        "fadrm_imagenet_10": [cvdd[0], cvdd[4], cvdd[2], cvdd[3]],
        "gvbsm_cifar10_10": [half[0], "convnet:norm=batch,width=128", half[3], "resnet:depth=14,width=32", half[2]],
        "infer_cifar100_10": four,
        "infer_imagenet_10": four[:3],
        "sre2l_tiny_50": cvdd[:1],
    }.items():
        asked = parse(teachers.RECORD, shlex.split(presets.PRESETS[name].first)[2:], "condense teachers").net
        assert [nets.canonical(net) for net in asked] == [nets.canonical(net) for net in expected]
        assert all(nets.parse(net)[1]["norm"] == "batch" for net in asked)


@pytest.mark.parametrize(
    ("data", "names"),
    [("cifar10", "mobilenet_v2 densenet121"), ("cifar100", "shufflenet_v2 mobilenet_v2"), ("tiny", "resnet18 mobilenet_v2")],
)
def test_one_image_a_class_is_recovered_from_the_published_pair(data, names):
    preset = presets.PRESETS[f"cvdd_{data}_1"]
    asked = parse(teachers.RECORD, shlex.split(preset.first)[2:], "condense teachers").net
    assert [asked[number - 1].split(":")[0] for number in preset.settings["pair"]] == names.split()
    assert presets.PRESETS[f"cvdd_{data}_10"].settings["pair"] is None


@pytest.mark.parametrize("name", [name for name in LABELLED if presets.PRESETS[name].first])
def test_the_set_of_a_preset_fits_into_its_file(name):
    """Its images in bytes, and the labels of whatever kind it asks for or its method has; of INFER at most five examples an image."""
    preset = presets.PRESETS[name]
    classes, side = sizes(preset)
    known = option_parameters(REGISTRY[preset.method].load())
    own = complete_options(preset.method, {key: value for key, value in preset.settings.items() if key in known})
    images, epochs = preset.settings["ipc"] * classes, own["label_epochs"] or recipe(own["recipe"] or "rded").epochs
    n = images * 5 if preset.method == "infer" else images
    check_room(own["labels"], n, classes, epochs, images=images * side * side * 3, advice="")


@pytest.mark.parametrize(("name", "flips"), [("sre2l_cifar10_10", False), ("infer_cifar100_10", False), ("sre2l_tiny_50", True)])
def test_presets_of_cifar_recover_without_mirroring(name, flips):
    assert presets.PRESETS[name].settings.get("flip", True) == flips


# what the released code of KRR-ST (README.md, of Imagenette an early one, and train.py) and FRePo states: images, network, step size, real
# images a step, steps, networks, steps of a network
RIDGE = {
    "krrst_cifar100_1000": (1000, "convnet_doubling:width=128,depth=3", 1e-4, 1024, 160_000, 10, 1000),
    "krrst_tiny_2000": (2000, "convnet_doubling:width=64,depth=4", 1e-5, 1024, 160_000, 10, 1000),
    "krrst_imagenet64_1000": (1000, "convnet_doubling:width=64,depth=4", 1e-5, 1024, 160_000, 10, 1000),
    "krrst_imagenette_10": (10, "convnet_doubling:width=32,depth=5", 1e-5, 1024, 160_000, 10, 1000),
    "krrst_imagenette_10_default": (10, "convnet_doubling:width=32,depth=5", 1e-3, 1024, 160_000, 10, 1000),
    "frepo_cifar10_10": (10, "convnet_frepo:width=128,depth=3", 3e-4, 1024, 500_000, 10, 100),
    "frepo_cifar100_1": (1, "convnet_frepo:width=128,depth=3", 3e-4, 1024, 500_000, 10, 100),
    "frepo_fashion_mnist_1": (1, "convnet_frepo:width=128,depth=3", 3e-4, 1024, 500_000, 10, 100),
}


def test_kip_is_as_released():
    """Labels stay as they are there."""
    assert [presets.PRESETS[name].settings["labels"] for name in ("kip_cifar10_10", "kip_digits_10")] == ["fixed", "learned"]


@pytest.mark.parametrize("name", RIDGE)
def test_presets_of_kernel_ridge_regression_are_as_released(name):
    preset = presets.PRESETS[name]
    known = option_parameters(REGISTRY[preset.method].load())
    own = complete_options(preset.method, {key: value for key, value in preset.settings.items() if key in known})
    size, net, *numbers = RIDGE[name]
    assert size in (preset.settings.get("size"), preset.settings.get("ipc"))
    assert nets.canonical(preset.settings["net"]) == nets.canonical(net) and nets.parse(net)[1]["norm"] == "batch"
    assert [*(own[key] for key in ("lr", "batch")), preset.settings["steps"], own["pool"], own["pool_steps"]] == numbers
    if preset.method == "krrst":
        assert (own["net_lr"], own["reg"], own["learn"], own["views"], own["resets"]) == (0.1, 1e-6, "both", "crop_flip", "released")
    else:
        grey = "mnist" in name  # neither mirrored nor whitened
        assert (own["net_lr"], own["reg"], own["flip"]) == (3e-4, 1e-6, not grey)
        assert preset.data.endswith("?normalise=zca_relative") != grey
        assert preset.evaluation().endswith("--net convnet_frepo:norm=none --recipe frepo_released")
