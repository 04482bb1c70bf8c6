"""Exact mining of frequent item sets, depth first over bit sets (Eclat: Zaki, IEEE TKDE 12(3), 2000)."""

from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

from synth.errors import BadInput

MOST = 200_000  # sets that a class may have before the threshold is called too low


class Frequent(NamedTuple):
    """A frequent set: its items ascending, and how many transactions hold them all."""

    items: tuple[int, ...]
    support: int


def mine(transactions: Iterable[Iterable[int]], least: int, *, most: int = MOST, kinds: int | None = None) -> list[Frequent]:
    """All non-empty item sets that at least `least` transactions contain, the most frequent first, then by size and items.

    The transactions that contain an item are the bits of one integer; those that contain a set are the AND of its items', so every support
    is counted, none is estimated. A set is grown only by items after its last one, and only while it is frequent: whatever contains a set
    is no more frequent than the set.

    Args:
      transactions: sets of item numbers; repeated items count once.
      least: the threshold on the support, >= 1.
      most: more sets than this are refused.
      kinds: where given, item i >= kinds is one more copy of item i - kinds, and stands only in sets that hold that one too: every
        multiset is one set, where all choices of copies would be exponentially many.

    Raises:
      BadInput: a threshold below 1, or one so low that there are more than `most` frequent sets.
    """
    if least < 1:
        raise BadInput(f"--support {least}: give a whole number of at least 1")
    holders: dict[int, int] = {}
    for number, transaction in enumerate(transactions):
        for item in transaction:
            holders[item] = holders.get(item, 0) | 1 << number
    single = [(item, bits) for item, bits in sorted(holders.items()) if bits.bit_count() >= least]
    found: list[Frequent] = []
    stack = [((), single)]
    while stack:
        prefix, rest = stack.pop()
        for place, (item, bits) in zip(count(1), rest, strict=False):
            if kinds and item >= kinds and item - kinds not in prefix:
                continue
            items = (*prefix, item)
            found.append(Frequent(items, bits.bit_count()))
            further = [(other, both) for other, those in rest[place:] if (both := bits & those).bit_count() >= least]
            if further:
                stack.append((items, further))
        if len(found) > most:
            raise BadInput(f"--support {least}: more than {most:,} sets are so frequent; give a larger one")
    return sorted(found, key=lambda one: (-one.support, len(one.items), one.items))


def mine_top(transactions: Iterable[Iterable[int]], wanted: int, *, most: int = MOST, kinds: int | None = None) -> list[Frequent]:
    """The `wanted` most frequent item sets, the most frequent first, then by size and items. There are fewer, perhaps none, where no more
    exist, or where the threshold on their support that would give so many gives more than `most`; nothing is raised for that.

    The threshold is halved until enough sets reach it, and where that is too low, raised half way again. `kinds` is that of `mine`: from
    there on items are copies of others.
    """
    transactions = [set(transaction) for transaction in transactions]
    found = []
    enough = len(transactions) + 1
    refused = 0
    while enough - refused > 1 and len(found) < wanted:
        least = (enough + refused) // 2
        try:
            found, enough = mine(transactions, least, most=most, kinds=kinds), least
        except BadInput:
            refused = least
    return found[:wanted]
