"""Scores of training examples, read from the log of proxies (`synth.selection.ranks`). Everywhere a low score means an easy example.

Where papers count the other way round (AUM: high is easy), the sign is changed here and the docstring says so. Of dyn_unc, dual and tdds,
which measure how much a prediction moves, a low score means a settled example: an easy one, or one that is never learnt.

To add a score, write a function of the fields it needs and add its line to SCORES. Fields by epoch are [K T n]: networks, epochs, examples.
The keyword arguments of a function are the options that stand behind its name, as in `el2n:first=1,last=10`. Epochs count from 1; `last`
and `window` are at most the epochs of the log, whatever they say. All networks count equally.
"""

import contextlib
import inspect
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from threadpoolctl import threadpool_limits

from synth.errors import BadInput
from synth.options import AtLeastTwo, NonNegative, Range, Share, check_option, flag_of
from synth.selection.ranks import Ranks

THREE = Range(3, math.inf, ("high",), "of at least 3")
Often = Float[np.ndarray, "k t n"]
Scores = Float32[np.ndarray, " n"]


def el2n(error: Often, *, first: int = 1, last: int = 10) -> Scores:
    """EL2N: the norm of p minus the one-hot row of y, its mean over networks and the epochs `first` to `last`, from 1. Low: easy.

    `error` is that norm after every epoch; p are a network's probabilities for an example, y is its class.
    Paul et al., Deep learning on a data diet, NeurIPS 2021: ten networks at one early epoch (`first=20,last=20`). Zheng et al., ICLR 2023
    (CCS): one network, the sum over its first ten epochs, which has the order of this mean.
    """
    return _mean(error[:, first - 1 : last])


def l1(probability: Often, *, first: int = 1, last: int = 10) -> Scores:
    """The sum of |p - one-hot row of y|, which is 2 (1 - p_y), its mean over networks and the epochs `first` to `last`, from 1. Low: easy.

    `probability` is p_y, a network's probability of an example's class, after every epoch.
    The sum over the classes k of p_k - p_y is 1 - C p_y, which has the same order.
    """
    return np.float32(2) * (np.float32(1) - _mean(probability[:, first - 1 : last]))


def max_margin(probability: Often, margin: Often, *, first: int = 1, last: int = 10) -> Scores:
    """The largest p_k of another class k minus p_y, its mean over networks and the epochs `first` to `last`, from 1. Low: easy.

    p are a network's probabilities, y is the example's class. The largest of the others follows from p_y and the margin of logits.
    """
    return _mean(_lead(probability[:, first - 1 : last], margin[:, first - 1 : last]))


def margin(margin: Often, *, epoch: Annotated[int, NonNegative] = 0) -> Scores:
    """The largest other logit minus that of the class y, after an epoch (from 1; 0: the last), its mean over networks. Low: easy. The array
    `margin` has the other sign."""
    return -_mean(margin[:, epoch - 1 :][:, :1])


def grand(full_gradient: Often, *, first: int = 1, last: int = 10) -> Scores:
    """GraNd: the norm of the loss's gradient by all parameters, its mean over networks and the epochs `first` to `last`, from 1. Low: easy.

    Paul et al., NeurIPS 2021, equation 2. The log holds it where it was made with --full-gradient.
    """
    return _mean(full_gradient[:, first - 1 : last])


def grand_last(gradient: Often, *, first: int = 1, last: int = 10) -> Scores:
    """GraNd of the last layer and its bias alone: the norm of (p - one-hot row of y) (phi, 1)^T, its mean over networks and the epochs
    `first` to `last`, from 1. Low: easy. phi is the input of that layer."""
    return _mean(gradient[:, first - 1 : last])


def forgetting(correct: UInt8[np.ndarray, "k t n"], *, never: Literal["hardest", "easiest"] = "hardest") -> Scores:
    """How often an example that was right is wrong after the next epoch, its mean over networks. Low: easy.

    Toneva et al., ICLR 2019. The convention for an example that a network never has right: `hardest` counts it as forgotten T times, more
    than any other can be (the paper's infinity); `easiest` counts 0, which is what the code of CCS does, and puts the mislabelled first.
    """
    right = correct.astype(bool)
    events = (right[:, :-1] & ~right[:, 1:]).sum(1).astype(np.float32)
    if never == "hardest":
        events[~right.any(1)] = correct.shape[1]
    return _mean(events)


def aum(margin: Often, probability: Often, *, of: Literal["logits", "probabilities"] = "logits") -> Scores:
    """The area under the margin, its sign changed: minus the mean over networks and epochs of z_y - max over others of z. Low: easy.

    Pleiss et al., NeurIPS 2020, equation 2, whose score is high for easy examples. There z are the `logits`; the code of CCS takes the
    `probabilities` in their place, and their sum over the epochs, which has the order of this mean.
    """
    return -_mean(margin) if of == "logits" else _mean(_lead(probability, margin))


def entropy(entropy: Often, *, epoch: Annotated[int, NonNegative] = 0) -> Scores:
    """The entropy of a network's probabilities in nats, after an epoch (from 1; 0: the last), its mean over networks. Low: easy. It does
    not look at the class."""
    return _mean(entropy[:, epoch - 1 :][:, :1])


def dyn_unc(probability: Often, *, window: Annotated[int, AtLeastTwo] = 10) -> Scores:
    """Dyn-Unc: the standard deviation of p_y, the probability of an example's class, within a window of `window` successive epochs, its
    mean over all such windows and networks. Low: settled, well learned or never.

    He et al., Large-scale dataset pruning with dynamic uncertainty, CVPR 2024 workshops, equations 1 and 2: divided by J - 1.
    """
    return _mean(_windows(probability, window, lambda part: _deviation(part)))


def dual(probability: Often, *, window: Annotated[int, AtLeastTwo] = 10, last: int = 30) -> Scores:
    """DUAL: the standard deviation of p_y, the probability of an example's class, within `window` successive epochs, times 1 - its mean
    there, averaged over the windows of the epochs up to `last` and over networks. Low: settled. Cho et al., Lightweight dataset pruning
    without full training, ICML 2025."""
    return _mean(_windows(probability[:, :last], window, lambda part: _deviation(part) * (1 - part.mean(1, dtype=np.float64))))


def tdds(divergence: Often, *, window: Annotated[int, THREE] = 10, decay: Annotated[float, Share] = 0.9, last: int = 90) -> Scores:
    """TDDS: how far the KL between successive epochs lies from its mean within a window, late windows counting most. Low: settled.

    R = sum over windows k = 0 ... T - J of decay (1 - decay)^(T - J - k) || KL_t - mean of KL ||_2 over t = k + 2 ... k + J, with
    KL_t = KL(p_t, p_{t-1}), J = `window` and T = `last`; the mean over networks. Zhang et al., Spanning training progress: temporal
    dual-depth scoring, CVPR 2024, equations 5 to 8. Each window is its own here; one circulating version repeats the first.
    """
    steps = divergence[:, 1:last]  # the first KL is to a network that was not trained

    def spread(part: np.ndarray) -> np.ndarray:
        part = part.astype(np.float64)
        return np.sqrt(np.square(part - part.mean(1, keepdims=True)).sum(1))

    parts = _windows(steps, window - 1, spread)
    weight = decay * (1 - decay) ** np.arange(parts.shape[1] - 1.0, -1.0, -1.0)
    return (parts * weight[None, :, None]).sum(1).mean(0).astype(np.float32)


def moderate(embedding: Float[np.ndarray, "n d"], label: Int[np.ndarray, " n"]) -> Scores:
    """The Euclidean distance of an embedding to the mean embedding of its class. Low: typical. Rule `moderate` keeps what lies in the
    middle.

    Xia et al., Moderate coreset, ICLR 2023, section 3.
    """
    found = np.empty(len(label), np.float32)
    for c in np.unique(label):
        of_class = np.asarray(embedding[label == c], np.float64)
        found[label == c] = np.linalg.norm(of_class - of_class.mean(0), axis=1)
    return found


def prototypicality(embedding: Float[np.ndarray, "n d"], label: Int[np.ndarray, " n"]) -> Scores:
    """The distance of the embedding to the nearest of as many k-means centres as there are classes. Low: prototypical. It reads no label.

    Sorscher et al., Beyond neural scaling laws, NeurIPS 2022, section 5. The centres are those of one k-means++ start, seed 0.
    """
    from sklearn.cluster import KMeans  # here, because it takes a second that most calls need not wait for

    points = np.asarray(embedding, np.float32)
    with threadpool_limits(1):  # sums do not depend on the machine's thread count
        centres = KMeans(len(np.unique(label)), n_init=1, random_state=0).fit(points).cluster_centers_.astype(np.float64)
    nearest = np.full(len(points), np.inf)
    for centre in centres:
        nearest = np.minimum(nearest, np.square(points - centre).sum(1))
    return np.sqrt(nearest).astype(np.float32)


def _lead(probability: Often, margin: Often) -> Often:
    """The largest p_k of another class minus p_y, in [-1, 1], from p_y and the margin m of logits: p_k = exp(log p_y - m). Where p_y is too
    small for single precision to hold it, another class counts as certain."""

    def of_epoch(p: np.ndarray, m: np.ndarray) -> np.ndarray:
        p, least = p.astype(np.float64), float(np.finfo(np.float32).tiny)
        other = np.exp(np.minimum(np.log(np.maximum(p, least)) - m, 0))
        return (np.where(p < least, 1, other) - p).astype(np.float32)

    pairs = zip(probability, margin, strict=True)  # an epoch at a time in double precision, because a log may be large
    return np.stack([[of_epoch(p, m) for p, m in zip(*pair, strict=True)] for pair in pairs])


def _mean(array: np.ndarray) -> np.ndarray:
    """The mean over all axes but the last."""
    return array.mean(tuple(range(array.ndim - 1)), dtype=np.float64).astype(np.float32)


def _deviation(part: np.ndarray) -> np.ndarray:
    """The standard deviation over a window's epochs, of which one degree of freedom is taken away."""
    return part.std(1, ddof=1, dtype=np.float64)


def _windows(array: np.ndarray, window: int, measure: Callable) -> np.ndarray:
    """[networks windows n]: what `measure` makes of every `window` successive epochs."""
    return np.stack([measure(array[:, at : at + window]) for at in range(array.shape[1] - window + 1)], 1)


class Score(NamedTuple):
    """A score by name.

    Args:
      compute: (its fields, **options) -> f32[n]; low means easy.
      fields: names of the fields of `synth.selection.ranks` that it reads, in the order of its arguments.
      epochs: the least number of epochs that it needs; 0 for a score of what is stored once, which has no networks to choose.
    """

    compute: Callable[..., Scores]
    fields: tuple[str, ...]
    epochs: int = 1


SCORES = {
    "el2n": Score(el2n, ("error",)),
    "l1": Score(l1, ("probability",)),
    "max_margin": Score(max_margin, ("probability", "margin")),
    "margin": Score(margin, ("margin",)),
    "grand": Score(grand, ("full_gradient",)),
    "grand_last": Score(grand_last, ("gradient",)),
    "forgetting": Score(forgetting, ("correct",), epochs=2),
    "aum": Score(aum, ("margin", "probability")),
    "entropy": Score(entropy, ("entropy",)),
    "dyn_unc": Score(dyn_unc, ("probability",), epochs=2),
    "dual": Score(dual, ("probability",), epochs=2),
    "tdds": Score(tdds, ("divergence",), epochs=3),
    "moderate": Score(moderate, ("embedding", "label"), epochs=0),
    "prototypicality": Score(prototypicality, ("embedding", "label"), epochs=0),
}


def scores(ranks: Ranks, by: str) -> Scores:
    """The score of every training example, in the order of the training split. Low means easy, whatever the score.

    Args:
      ranks: the log of proxies.
      by: a name in SCORES, with options behind a colon: `el2n`, `el2n:first=1,last=4`, `forgetting:never=easiest`. Of the networks in the
        log, `networks=K` takes the first K.

    Raises BadInput for an unknown score or option, and for a log that is too short for it or lacks a field.
    """
    name, options = take_score(by, ranks)
    score, networks = SCORES[name], options.pop("networks", None)
    fields = [ranks.read(field) for field in score.fields]
    return score.compute(*(field if networks is None else field[:networks] for field in fields), **options)


def name_score(by: str, ranks: Ranks) -> str:
    """The full name of a score on a log, such as `el2n:first=1,last=10,networks=4`: all options with the values that they have there.
    Raises BadInput for an unknown score or option, and for a log that is too short or lacks a field."""
    name, options = take_score(by, ranks)
    return name + ":" * bool(options) + ",".join(f"{key}={value}" for key, value in options.items())


def take_score(by: str, ranks: Ranks) -> tuple[str, dict[str, Any]]:
    """The name of a score, and all its options with the values that they have on a log, of which no number is read: `last` and `window` are
    at most its epochs. Raises BadInput for an unknown score or option, and for a log that is too short or lacks a field."""
    name, _, rest = by.partition(":")
    if name not in SCORES:
        raise BadInput(f"--by {by}: unknown score '{name}' (known: {', '.join(SCORES)})")
    score = SCORES[name]
    if missing := [field for field in score.fields if field not in ranks.fields]:
        raise BadInput(f"--by {by}: the log holds no {missing[0]}; rank with --full-gradient, or take another score")
    known = {key: p for key, p in inspect.signature(score.compute).parameters.items() if p.kind is p.KEYWORD_ONLY}
    kinds, options = {key: p.annotation for key, p in known.items()}, {key: p.default for key, p in known.items()}
    if score.epochs:
        kinds, options = kinds | {"networks": int}, options | {"networks": ranks.networks}
    for item in filter(None, rest.split(",")):
        key, _, text = item.partition("=")
        if key not in kinds:
            raise BadInput(f"--by {by}: has no option '{key}' (known: {', '.join(kinds) or 'none'})")
        try:
            options[key] = check_option(key, _number(text), kinds[key])
        except BadInput as error:
            raise BadInput(f"--by {by}: {key}{str(error).removeprefix(flag_of(key))}") from error
    return name, _fitted(by, score, options, ranks.networks, ranks.epochs)


def _number(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _fitted(by: str, score: Score, options: dict[str, Any], networks: int, epochs: int) -> dict[str, Any]:
    """The options, those that reach past the end of the log cut there. Raises BadInput where nothing of the log is left."""
    if epochs < score.epochs:
        raise BadInput(f"--by {by}: needs {score.epochs} epochs, and the log has {epochs}; rank with more --epochs, or take another score")
    options = {key: min(value, epochs) if key in ("last", "window") else value for key, value in options.items()}
    for key, most in (("networks", networks), ("first", options.get("last", epochs)), ("epoch", epochs)):
        if options.get(key, 0) > most:
            raise BadInput(f"--by {by}: {key} {options[key]}: give at most {most}")
    if options.get("window", 0) > (last := options.get("last", epochs)):
        raise BadInput(f"--by {by}: window {options['window']}: give at most last, {last}")
    return options
