"""The one file that names a mesh axis: where arrays live when there is more than one device. With one device everything here is a no-op.

Of several processes (`condense.runtime.processes`) all hold the same host values, and each puts on its own devices the parts that belong
there.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from condense.runtime.processes import count
from synth.base import Examples
from synth.training.packed import Bytes

AXIS = "devices"


def devices() -> tuple[jax.Device, ...]:
    """The devices that this process uses by itself. All work on the same run."""
    return tuple(jax.local_devices())


def everywhere() -> tuple[jax.Device, ...]:
    """The devices of all processes that work on the run."""
    return devices() if count() == 1 else tuple(jax.devices())


@lru_cache
def _mesh(members: tuple[jax.Device, ...]) -> Mesh:
    # Auto, because the default axis type refuses ordinary code on sharded arrays.
    return jax.make_mesh((len(members),), (AXIS,), axis_types=(AxisType.Auto,), devices=members)


def _sharding(*spec) -> NamedSharding:
    return NamedSharding(_mesh(everywhere()), PartitionSpec(*spec))


def replicated() -> NamedSharding:
    """The sharding that puts the whole array on every device."""
    return _sharding()


def replicate(tree):
    """`tree` with every leaf whole on every device."""
    return _put(tree, replicated())


def _put(tree, sharding: NamedSharding):
    if count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: _spread(leaf, sharding), tree)


def _spread(leaf, sharding: NamedSharding):
    """An array over the devices of all processes. `jax.device_put` would send it around, to see whether all have the same."""
    leaf = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_spread(jax.random.key_data(leaf), sharding), impl=jax.random.key_impl(leaf))
    host = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def replicate_here(tree):
    """`tree` with every leaf whole on every device of this process."""
    return tree if len(devices()) == 1 else jax.device_put(tree, NamedSharding(_mesh(devices()), PartitionSpec()))


def share_rows(array: jax.Array, *, axis: int = 0) -> jax.Array:
    """Inside a compiled function: an array of which the devices of this process share the entries along an axis, and with them what is
    computed of each. It stays whole where their number does not divide the entries."""
    members = devices()
    if len(members) == 1 or array.shape[axis] % len(members):
        return array
    return jax.lax.with_sharding_constraint(array, NamedSharding(_mesh(members), PartitionSpec(*[None] * axis, AXIS)))


def own(tree):
    """`tree` with every leaf that is whole on the devices of all processes as an array of one device of this process, in the same memory;
    what is this process' own comes back as it is."""
    if count() == 1:
        return tree
    return jax.tree.map(lambda leaf: leaf if getattr(leaf, "is_fully_addressable", True) else leaf.addressable_data(0), tree)


def split_axis(batch, count: int) -> int | None:
    """The axis along which `count` devices share a feed's batch: n of f32[classes n h w c], the rows of `Examples`. None where each device
    gets all of it: a batch of another kind, and one that the count does not divide."""
    axis = 0 if isinstance(batch, Examples) else 1
    if not isinstance(batch, Examples | np.ndarray) or jax.tree.leaves(batch)[0].shape[axis] % count:
        return None
    return axis


def place_batch(batch):
    """Puts a feed's batch on the devices, which share it along `split_axis`, or get a copy each. Of a tuple every part is put as if it were
    alone. Bytes are moved as bytes, and normalised where they arrive; of several processes each normalises all before it keeps its part."""
    if type(batch) is tuple:
        return tuple(map(place_batch, batch))
    if isinstance(batch, Bytes):
        if count() > 1:
            return place_batch(jax.tree.map(np.asarray, batch.unpack()))
        placed = place_batch(batch.raw if batch.y is None else Examples(batch.raw, batch.y))
        return replace(batch, raw=placed, y=None).unpack() if batch.y is None else replace(batch, raw=placed.x, y=placed.y).unpack()
    axis = split_axis(batch, len(everywhere()))
    return replicate(batch) if axis is None else _put(batch, _sharding(*[None] * axis, AXIS))


def batch_shapes(batch, count: int):
    """The shapes and dtypes of what one of `count` devices would get of a feed's batch, where there were so many."""
    if type(batch) is tuple:
        return tuple(batch_shapes(part, count) for part in batch)
    batch = jax.tree.map(np.asarray, batch.unpack()) if isinstance(batch, Bytes) else batch
    axis = split_axis(batch, count)

    def shape(leaf):
        leaf = jax.eval_shape(lambda: jnp.asarray(leaf))
        cut = [size // count if at == axis else size for at, size in enumerate(leaf.shape)]
        return jax.ShapeDtypeStruct(tuple(cut), leaf.dtype)

    return jax.tree.map(shape, batch)


def over_devices(fn: Callable, *xs, whole: tuple = (), among: tuple[jax.Device, ...] | None = None):
    """`fn(*xs, *whole)`, compiled, with the leading axis of `xs` shared out among the devices.

    Args:
      fn: takes and returns PyTrees whose leaves lead with one axis of independent entries (as a `vmap`ped function does).
      xs: its arguments, all of one leading size. Where the device count does not divide it, entries are repeated, and cut off again.
      whole: further arguments that every device gets whole.
      among: the devices; by default those of this process.
    """
    members = among or devices()
    if len(members) == 1:
        return jax.jit(fn)(*xs, *whole)
    n = jax.tree.leaves(xs)[0].shape[0]
    rows = jnp.arange(-(-n // len(members)) * len(members)) % n
    spec = PartitionSpec(AXIS)
    specs = (*[spec] * len(xs), *[PartitionSpec()] * len(whole))
    shared = jax.jit(jax.shard_map(fn, mesh=_mesh(members), in_specs=specs, out_specs=spec, check_vma=False))
    return jax.tree.map(lambda leaf: leaf[:n], shared(*jax.tree.map(lambda leaf: leaf[rows], xs), *whole))
