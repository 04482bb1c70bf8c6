"""Stored views together with the teachers' answers to them, as releases of SRe2L and its followers record them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, Int, UInt8, UInt16

from synth.images.views import BatchView, Images, Mixed, resample
from synth.labels.common import check_taught, place
from synth.labels.contract import label_kind
from synth.labels.static import Static

MIXES = ("", "mixup", "cutmix")


@label_kind
class Recorded(NamedTuple):
    """Every view of every epoch, and teacher logits f16 of each: views are replayed as they were recorded, whatever the key.

    Shen and Xing, A fast knowledge distillation framework, ECCV 2022, with the mixes that SRe2L added. Loss: KL at the temperature. A view
    is a box of whole pixels that is resized to the image's size (bilinear), then flipped, then mixed within its mini-batch.

    Args:
      index: the class of every example.
      order: the example at every place of an epoch; mini-batches are pieces of it of `batch` places, the last one may be smaller.
      logits: of every place, to the mixed view.
      crop: top, left, height and width in pixels of the box at every place.
      flip: 1 where left and right are exchanged.
      partner: the place within its mini-batch with which a place is mixed; its own where nothing is.
      lam: the share of itself that an image keeps under MixUp, of every mini-batch.
      box: first row, row to stop before, first column, column to stop before, of the box that CutMix takes from the partner.
      mix: `mixup`, `cutmix` or empty.
      teachers: who answered, as in `synth.labels.common`; empty where a release does not say.
    """

    index: Int[Array, " n"]
    order: Int[Array, "epochs n"]
    logits: Float16[Array, "epochs n classes"]
    crop: UInt16[Array, "epochs n 4"]
    flip: UInt8[Array, "epochs n"]
    partner: Int[Array, "epochs n"]
    lam: Float[Array, "epochs steps"]
    box: UInt16[Array, "epochs steps 4"]
    temperature: float
    teachers: str
    statistics: str
    batch: int
    mix: str
    kind = "recorded"
    taught = sees = records = True

    classes, loss = Static.classes, Static.loss

    @property
    def epochs(self) -> int:
        """The number of epochs whose views are recorded."""
        return self.logits.shape[-3]

    def order_of(self, epoch: Int[Array, ""]) -> Int[Array, " n"]:
        """The positions of the n examples in the order in which an epoch (from 0) shows them."""
        return self.order[epoch]

    def shown(self, images: Images, epoch: Int[Array, ""], batch: Int[Array, ""]) -> BatchView:
        """The recorded view of mini-batch number `batch` of an epoch (both from 0): its images cropped, flipped and mixed as recorded.

        `images` are those of the mini-batch alone, in the order in which the epoch shows them.
        """
        at = jnp.minimum(batch * self.batch + jnp.arange(len(images)), self.order.shape[-1] - 1)
        boxes, flips = self.crop[epoch, at].astype(jnp.int32), self.flip[epoch, at] > 0
        seen = jax.vmap(lambda image, box: resample(image, *box))(images, boxes)
        seen = jnp.where(flips[:, None, None, None], seen[:, :, ::-1], seen)
        partner, lam = jnp.minimum(self.partner[epoch, at], len(images) - 1), self.lam[epoch, batch]
        if self.mix == "mixup":
            seen = lam.astype(seen.dtype) * seen + (1 - lam).astype(seen.dtype) * seen[partner]
        elif self.mix == "cutmix":
            top, bottom, left, right = (self.box[epoch, batch, i].astype(jnp.int32) for i in range(4))
            rows, columns = (jnp.arange(size) for size in images.shape[1:3])
            inside = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))[None, :]
            seen = jnp.where(inside[None, :, :, None], seen[partner], seen)
        return BatchView(epoch, batch, seen, Mixed(partner, lam))

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """softmax(z / T) of the recorded logits to the mini-batch that `view` names by its epoch and number. Of `index` only the length is
        read."""
        logits = self.logits[view.epoch, place(self, index, view)].astype(jnp.float32)
        return jax.nn.softmax(logits / self.temperature)

    def check(self) -> None:
        """Raises ValueError if a field is out of range, or an epoch does not show every example once."""
        check_taught(self)
        n, steps, (lam, box, crop) = len(self.index), self.lam.shape[1], (np.asarray(a) for a in (self.lam, self.box, self.crop))
        if self.mix not in MIXES or self.batch < 1 or steps != -(-n // self.batch):
            raise ValueError(f"mix '{self.mix[:20]}', batch {self.batch} and {steps} mini-batches do not fit {n} examples")
        if not (np.sort(np.asarray(self.order), -1) == np.arange(n)).all():
            raise ValueError("order must hold every example once an epoch")
        sizes = np.minimum(self.batch, n - np.arange(n) // self.batch * self.batch)
        partner = np.asarray(self.partner)
        if partner.min() < 0 or (partner >= sizes).any():
            raise ValueError("partner must be a place in the mini-batch")
        if lam.min() < 0 or lam.max() > 1 or np.asarray(self.flip).max() > 1 or crop[..., 2:].min() < 1:
            raise ValueError("lam must lie in [0, 1], flip be 0 or 1, and crops have 1 or more pixels a side")
        if (box[..., 0] > box[..., 1]).any() or (box[..., 2] > box[..., 3]).any():
            raise ValueError("box must not end before it begins")
