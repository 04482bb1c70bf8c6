"""The forms of a convolution on a CPU against numpy, a pixel of the kernel after another, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.nets import forms
from tests.support.convolutions import CASES

# where the channels choose the form, a network of any width must get the same from each
FORMS = {
    "patches": (forms._patches_out, forms._patches_image, forms._patches_kernel),
    "direct": (forms.direct_out, forms._direct_image, forms._direct_kernel),
    "winograd": (forms._winograd_out, forms._winograd_image, forms._winograd_kernel),
    "chosen": (forms.compute_out, forms.compute_image, forms.compute_kernel),
}


def by_hand(x, kernel, slope, window):
    """The three gradients of the trilinear sum, by `slope`, by the image and by the kernel."""
    (h, v, _), s, p = window.out, window.stride, window.padding
    x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    out, image, weights = np.zeros_like(slope), np.zeros_like(x), np.zeros_like(kernel)
    for i, j in np.ndindex(kernel.shape[:2]):
        at = np.s_[:, i : i + s * (h - 1) + 1 : s, j : j + s * (v - 1) + 1 : s]
        out += x[at] @ kernel[i, j]
        image[at] += slope @ kernel[i, j].T
        weights[i, j] = np.einsum("bijc,bijd->cd", x[at], slope)
    return out, image[:, p : p + window.image[0], p : p + window.image[1]], weights


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_every_form_computes_the_three_gradients_of_one_sum(float64, name, form):
    h, w, c, d, k, stride, padding = CASES[name]
    window = forms.Window((h, w, c), (k, k, c, d), stride, padding)
    if form == "winograd" and ((k, stride) != (3, 1) or padding > 2):
        pytest.skip("Winograd's form is for kernels of 3x3 and stride 1")
    rng = np.random.default_rng(0)
    x, kernel, slope = rng.normal(size=(2, h, w, c)), rng.normal(size=(k, k, c, d)), rng.normal(size=(2, *window.out))
    pairs = ((x, kernel), (slope, kernel), (x, slope))
    found = [f(*map(jnp.asarray, pair), window) for f, pair in zip(FORMS[form], pairs, strict=True)]
    for got, want in zip(found, by_hand(x, kernel, slope, window), strict=True):
        assert got.shape == want.shape and got.dtype == jnp.float64
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * max(1, np.abs(want).max()))


def test_the_channels_choose_the_form():
    """Grey images are read as patches, narrow layers go through XLA, deep ones through Winograd; strides never."""
    grey, colour = (forms.Window((32, 32, c), (3, 3, c, 128), 1, 1) for c in (1, 3))
    narrow, deep = (forms.Window((32, 32, c), (3, 3, c, c), 1, 1) for c in (16, 128))
    strided = deep._replace(stride=2)
    assert [(w.wide, w.deep, w.thin) for w in (grey, colour, narrow, deep, strided)] == [
        (False, False, True),
        (False, False, True),
        (True, False, False),
        (True, True, False),
        (False, False, False),
    ]
    x, kernel, out = (lambda w: jnp.zeros((2, *w.image))), (lambda w: jnp.zeros(w.kernel)), (lambda w: jnp.zeros((2, *w.out)))
    takers = ((forms.compute_out, x, kernel), (forms.compute_image, out, kernel), (forms.compute_kernel, x, out))
    windows = {"grey": grey, "colour": colour, "narrow": narrow, "deep": deep, "strided": strided}
    by_xla = {
        name: ["conv_general_dilated" in str(jax.make_jaxpr(lambda a, b, f=f, w=w: f(a, b, w))(a(w), b(w))) for f, a, b in takers]
        for name, w in windows.items()
    }
    assert by_xla == {
        "grey": [False] * 3,
        "colour": [True, False, False],
        "narrow": [True, True, False],
        "deep": [False] * 3,
        "strided": [True, True, False],
    }
