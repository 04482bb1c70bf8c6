import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.errors import BadInput
from synth.images.quantise import as_stored, bits_needed, bits_of, of_codes, pack, span, to_codes, unpack

X = np.random.default_rng(0).normal(0, 2, (3, 5, 4, 2)).astype(np.float32) * np.float32([1, 9])


def numpy_codes(x, bits):
    """The equation, in double precision."""
    low, high = x.min((0, 1, 2)).astype(float), x.max((0, 1, 2)).astype(float)
    return np.rint((x - low) / (high - low) * (2**bits - 1)), low, high


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_codes_and_values_are_those_of_the_equation(bits):
    expected, low, high = numpy_codes(X, bits)
    codes = np.asarray(to_codes(jnp.asarray(X), *span(jnp.asarray(X)), bits))
    assert codes.dtype == np.uint8 and codes.min() == 0 and codes.max() == 2**bits - 1
    np.testing.assert_array_equal(codes, expected)
    values = low + expected * (high - low) / (2**bits - 1)
    np.testing.assert_allclose(as_stored(jnp.asarray(X), f"u{bits}"), values, rtol=0, atol=1e-5)
    assert (np.abs(values - X) <= (high - low) / (2**bits - 1) / 2 + 1e-6).all()
    again = as_stored(as_stored(jnp.asarray(X), f"u{bits}"), f"u{bits}")
    np.testing.assert_array_equal(again, as_stored(jnp.asarray(X), f"u{bits}"))  # the ends of the range are exact


def test_half_precision_is_that_of_numpy_and_never_infinite():
    x = np.float32([[[[1.0001, -0.3], [1e5, -1e9]]]])
    np.testing.assert_array_equal(as_stored(jnp.asarray(x), "f16"), np.clip(x, -65504, 65504).astype(np.float16).astype(np.float32))
    assert as_stored(jnp.asarray(x), "f32") is not None and np.array_equal(as_stored(jnp.asarray(x), "f32"), x)


@pytest.mark.parametrize("store", ["u2", "f16"])
def test_the_gradient_is_that_of_the_identity_where_the_values_are_those_of_the_storage(store):
    weigh = jnp.asarray(np.random.default_rng(1).normal(size=X.shape).astype(np.float32))
    value, slope = jax.value_and_grad(lambda x: (weigh * as_stored(x, store) ** 2).sum() / 2)(jnp.asarray(X))
    stored = np.asarray(as_stored(jnp.asarray(X), store))
    np.testing.assert_allclose(slope, np.asarray(weigh) * stored, rtol=1e-6)  # of the identity, at the stored value, ends included
    np.testing.assert_allclose(value, (np.asarray(weigh) * stored**2).sum() / 2, rtol=1e-4)
    assert np.abs(stored - X).max() > 1e-4
    curved = jax.grad(lambda x: jax.grad(lambda x: (as_stored(x, store) ** 3).sum())(x).sum())(jnp.asarray(X))
    np.testing.assert_allclose(curved, 6 * stored, rtol=1e-5)  # and once more, as trajectory methods ask


@pytest.mark.parametrize("bits", range(2, 9))
def test_bits_are_packed_as_numpy_packs_them(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, (3, 2, 3, 1), dtype=np.uint8)
    text = "".join(f"{code:0{bits}b}" for code in codes.ravel())
    payload = np.asarray(pack(jnp.asarray(codes), bits))
    assert "".join(f"{byte:08b}" for byte in payload).startswith(text) and len(payload) == -(-18 * bits // 8)
    assert bits_needed(18, f"u{bits}") == 18 * bits
    np.testing.assert_array_equal(unpack(jnp.asarray(payload), bits, codes.shape), codes)


def test_a_channel_of_one_value_and_a_number_outside_the_range():
    flat = jnp.full((2, 2, 2, 1), 0.7)
    np.testing.assert_array_equal(as_stored(flat, "u4"), flat)
    ends = jnp.zeros(1), jnp.ones(1)
    wide = jnp.asarray([-3.0, 0.5, 4.0]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(of_codes(to_codes(wide, *ends, 8), *ends, 8).ravel(), [0, 128 / 255, 1], rtol=1e-6)


@pytest.mark.parametrize("name", ["u1", "u9", "8", "f64", "ux", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(BadInput, match=f"--store {name}: unknown; give f32, f16, or u2 to u8"):
        bits_of(name)
