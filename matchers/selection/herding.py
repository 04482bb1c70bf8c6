"""Herding (Welling, ICML 2009): real images whose running mean follows the mean of their class."""

from matchers.base import Matcher, Unread, once
from matchers.selection.common import Space, features, parts_of, put
from synth.base import Net
from synth.selection.choose import choose_herding


def herding(net: Net, *, space: Space = "embed", epochs: int = 5) -> Matcher:
    """Greedy selection: s_{t+1} = argmin_x || mu_c - (x + sum_{i<=t} s_i) / (t + 1) || over the images of class c not taken yet.

    Args:
      net: embeds the images where `space` is `embed`.
      space: where images are compared: pixels, or the embedding of a network trained on the training split.
      epochs: of that network's training.
    """

    def solve(key, synth, examples, done=lambda: None):
        space_of = features(key, net, examples, classes=synth.y.classes, space=space, epochs=epochs, done=done)
        return put(synth, examples, choose_herding(space_of, examples.y, len(synth) // synth.y.classes, done=done))

    return once(solve, feed=Unread(), parts=parts_of(space, epochs))._replace(own_start="")
