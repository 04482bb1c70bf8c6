"""Counts of operations beside closed forms, loops over all products, XLA's own counts, and a network counted by hand."""

from itertools import product
from math import prod

import jax
import jax.numpy as jnp
import pytest

from condense import nets
from condense.engine.operations import Work, count_work, repeated, total
from synth.numerics import backend
from synth.training.ridge import solve

F32 = 4


def ones(*shape):
    return jnp.ones(shape, jnp.float32)


def counted(fn, *args) -> Work:
    return count_work(jax.make_jaxpr(fn)(*args))


def of_product(m, k, n) -> Work:
    return Work(2 * m * k * n, F32 * (m * k + k * n + m * n))


def test_a_matrix_product():
    assert counted(jnp.matmul, ones(3, 5), ones(5, 7)) == of_product(3, 5, 7)
    half = jnp.ones((3, 5), jnp.bfloat16), jnp.ones((5, 7), jnp.bfloat16)
    assert counted(jnp.matmul, *half) == Work(2 * 3 * 5 * 7, 2 * (3 * 5 + 5 * 7 + 3 * 7))


def test_products_over_several_axes_and_with_batches():
    found = counted(lambda a, b: jnp.einsum("bijk,bjkl->bil", a, b), ones(4, 2, 3, 5), ones(4, 3, 5, 7))
    assert found == Work(2 * 4 * 2 * 7 * (3 * 5), F32 * 4 * (2 * 3 * 5 + 3 * 5 * 7 + 2 * 7))


def test_a_batch_by_vmap_is_as_many_products():
    found = counted(jax.vmap(jnp.matmul), ones(6, 3, 5), ones(6, 5, 7))
    assert found == repeated(of_product(3, 5, 7), 6)


def test_nested_scans_count_as_often_as_they_run():
    def inner(x, w):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, None, length=5)[0]

    def outer(x, w):
        return jax.lax.scan(lambda x, _: (inner(x, w) @ w, None), x, None, length=7)[0]

    assert counted(outer, ones(4, 4), ones(4, 4)) == repeated(of_product(4, 4, 4), 7 * (5 + 1))
    once = jax.jit(outer).lower(ones(4, 4), ones(4, 4)).compile().cost_analysis()["flops"]
    assert once < 3 * of_product(4, 4, 4).flops + 200, "XLA's own count would do if it followed loops: take it in place of this one"


def test_products_that_no_result_needs_do_not_count():
    def heads(x, w):
        return x @ w, x @ w @ w

    assert counted(lambda x, w: jax.jit(heads)(x, w)[0], ones(4, 4), ones(4, 4)) == of_product(4, 4, 4)
    looped = counted(lambda x, w: jax.lax.scan(lambda x, _: (x + w, x @ w), x, None, length=3)[0], ones(4, 4), ones(4, 4))
    assert looped == Work()


def test_a_loop_of_unknown_length_counts_once_and_is_named():
    def loop(x, n):
        return jax.lax.while_loop(lambda at: at[0] < n, lambda at: (at[0] + 1, at[1] @ x), (0, x))[1]

    assert counted(loop, ones(4, 4), 9) == of_product(4, 4, 4)._replace(open_loops=1)
    without = counted(lambda n: jax.lax.while_loop(lambda i: i < n, lambda i: i + 1, 0), 9)
    assert without == Work(), "a loop without products says nothing about the count"
    fixed = counted(lambda x: jax.lax.fori_loop(0, 9, lambda _, y: y @ x, x), ones(4, 4))
    assert fixed == repeated(of_product(4, 4, 4), 9)
    twice = counted(lambda x: jax.lax.scan(lambda x, _: (loop(x, x[0, 0].astype(int)), None), x, None, length=2)[0], ones(4, 4))
    assert twice == repeated(of_product(4, 4, 4), 2)._replace(open_loops=1)


def test_of_branches_the_one_with_most_operations_counts():
    found = counted(lambda i, x: jax.lax.switch(i, [lambda x: x, lambda x: x @ x, lambda x: x @ x @ x], x), 0, ones(4, 4))
    assert found == repeated(of_product(4, 4, 4), 2)


def test_derivatives_of_a_product_are_two_products():
    found = counted(jax.grad(lambda a, b: jnp.sum(jnp.sin(a @ b)), argnums=(0, 1)), ones(3, 5), ones(5, 7))
    assert found == total([of_product(3, 5, 7), of_product(3, 7, 5), of_product(5, 3, 7)])


def test_custom_gradients_count_as_written_and_checkpoints_compute_again():
    @jax.custom_vjp
    def doubled(x, w):
        return x @ w

    doubled.defvjp(lambda x, w: (x @ w, (x, w)), lambda held, g: (g @ held[1].T @ held[1] @ held[1].T, jnp.zeros_like(held[1])))
    args, one = (ones(4, 4), ones(4, 4)), of_product(4, 4, 4)
    assert counted(doubled, *args) == one
    assert counted(jax.value_and_grad(lambda x, w: jnp.sum(doubled(x, w))), *args) == repeated(one, 1 + 3)

    @jax.custom_jvp
    def straight(x, w):
        return x @ w

    straight.defjvp(lambda at, by: (straight(*at), by[0] @ at[1] @ at[1]))
    assert counted(straight, *args) == one
    assert counted(lambda x, w: jax.jvp(lambda x: straight(x, w), (x,), (x,)), *args) == repeated(one, 1 + 2)

    def chain(x, w):
        return jnp.sum(jnp.sin(jnp.sin(x @ w) @ w))

    once, again = counted(jax.value_and_grad(chain), *args), counted(jax.value_and_grad(jax.checkpoint(chain)), *args)
    assert (once.flops, again.flops) == (4 * one.flops, 6 * one.flops), "both products are computed again for the gradient"


def test_of_a_linear_solver_the_solution_alone_counts():
    """Its rule holds the products by the matrix four times over, for derivatives."""
    found = counted(
        lambda a, b: jax.lax.custom_linear_solve(lambda x: a @ x, b, lambda _, x: a @ x, symmetric=True), ones(4, 4), ones(4, 2)
    )
    assert found == of_product(4, 4, 2)


def by_loops(image, kernel, out, *, stride, padding, groups) -> int:
    """Products of a convolution with a number of the image, one by one along each axis."""
    (b, *sides, _), (*taps, inputs, features) = image, kernel
    pairs = 1
    for side, tap, to in zip(sides, taps, out[1:3], strict=True):
        pairs *= sum(0 <= stride * i + u - padding < side for i, u in product(range(to), range(tap)))
    return 2 * b * features * inputs * pairs


CONVOLUTIONS = [
    # image, kernel, stride, padding, groups
    ((2, 6, 5, 3), (3, 3, 3, 4), 1, 0, 1),
    ((2, 6, 5, 3), (3, 3, 3, 4), 1, 1, 1),
    ((2, 7, 6, 3), (3, 2, 3, 4), 2, 1, 1),
    ((1, 9, 9, 4), (5, 5, 4, 2), 3, 2, 1),
    ((2, 6, 6, 6), (3, 3, 2, 9), 1, 1, 3),
    ((2, 8, 8, 6), (3, 3, 1, 6), 2, 1, 6),
]


@pytest.mark.parametrize(("image", "kernel", "stride", "padding", "groups"), CONVOLUTIONS)
def test_a_convolution_and_its_derivatives_take_the_same(image, kernel, stride, padding, groups):
    def conv(x, k):
        form = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": groups}
        return jax.lax.conv_general_dilated(x, k, (stride, stride), [(padding, padding)] * 2, **form)

    x, k = ones(*image), ones(*kernel)
    out = jax.eval_shape(conv, x, k).shape
    found = counted(conv, x, k)
    assert found == Work(
        by_loops(image, kernel, out, stride=stride, padding=padding, groups=groups), F32 * sum(map(prod, (image, kernel, out)))
    )
    if not padding and stride == 1:
        assert found.flops == 2 * prod(out) * prod(kernel[:3]), "the closed form"
    for one in (0, 1):
        derivative = counted(lambda x, k, g, one=one: jax.vjp(conv, x, k)[1](g)[one], x, k, ones(*out))
        assert derivative.flops == found.flops
    assert found.flops == jax.jit(conv).lower(x, k).cost_analysis()["flops"], "XLA's count of the same convolution"


def test_a_dilated_kernel_and_unlike_paddings():
    def conv(x, k):
        return jax.lax.conv_general_dilated(x, k, (1, 1), [(2, 0), (0, 1)], rhs_dilation=(2, 1), dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, k = ones(1, 6, 4, 1), ones(2, 2, 1, 1)  # rows: outputs at -2 ... 3, taps 0 and 2; columns: outputs at 0 ... 3, taps 0 and 1
    rows = sum(0 <= i + u < 6 for i in range(-2, 4) for u in (0, 2))
    columns = sum(0 <= i + u < 4 for i in range(4) for u in (0, 1))
    assert counted(conv, x, k).flops == 2 * rows * columns


def test_a_whole_network_counted_by_hand():
    """ConvNet of two blocks on 8x8 images: 3x3 convolutions padded by 1, of which 3 n - 2 of n rows' 3 n taps meet the image."""
    image, classes, b, width = (8, 8, 3), 5, 2, 4
    net = nets.build(f"convnet:width={width},depth=2", image, classes)
    vars = jax.eval_shape(net.init, jax.random.key(0))
    with backend.supposing("cuda"):
        found = counted(lambda vars, x: net.apply(vars, x).logits, vars, ones(b, *image))
    first = 2 * b * (3 * 8 - 2) ** 2 * 3 * width
    second = 2 * b * (3 * 4 - 2) ** 2 * width * width
    head = 2 * b * (2 * 2 * width) * classes
    assert found.flops == first + second + head == 2 * 2 * (22**2 * 12 + 10**2 * 16 + 16 * 5)
    touched = (8 * 8 * 3 + 8 * 8 * 4) * b + 9 * 3 * 4, (4 * 4 * 4 * 2) * b + 9 * 4 * 4, (16 + 5) * b + 16 * 5
    assert found == Work(found.flops, F32 * sum(touched))


def test_a_ridge_regression_counts_its_kernel():
    """n rows of d numbers: the kernel takes 2 n^2 d; what solves it is a factorisation, which is not counted."""
    found = counted(lambda x, y: solve(x @ x.T + jnp.eye(6, dtype=jnp.float32), y), ones(6, 3), ones(6, 2))
    assert found == of_product(6, 3, 6)
