"""The real images nearest to the k-means centres of their class."""

import jax

from matchers.base import Matcher, Unread, once
from matchers.selection.common import Space, features, parts_of, put
from synth.base import Net
from synth.selection.choose import choose_kmeans


def kmeans(net: Net, *, space: Space = "pixels", epochs: int = 5) -> Matcher:
    """One k-means a class with as many centres as images; each centre gives the nearest real image not taken yet.

    Args:
      net: embeds the images where `space` is `embed`.
      space: where images are compared: pixels, or the embedding of a network trained on the training split.
      epochs: of that network's training.
    """

    def solve(key, synth, examples, done=lambda: None):
        k_space, k_choose = jax.random.split(key)
        space_of = features(k_space, net, examples, classes=synth.y.classes, space=space, epochs=epochs, done=done)
        return put(synth, examples, choose_kmeans(k_choose, space_of, examples.y, len(synth) // synth.y.classes, done=done))

    return once(solve, feed=Unread(), parts=parts_of(space, epochs))._replace(own_start="")
