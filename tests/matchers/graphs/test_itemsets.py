"""The miner against counting every set, against mlxtend, and its laws."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.graphs.itemsets import Frequent, mine, mine_top
from synth.errors import BadInput

TRANSACTIONS = st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=14)


def counted(transactions, least):
    """Frequent sets by going through all subsets of the items that there are."""
    items = sorted(set().union(*transactions))
    subsets = [tuple(item for bit, item in enumerate(items) if number >> bit & 1) for number in range(1, 2 ** len(items))]
    supports = {subset: sum(set(subset) <= held for held in transactions) for subset in subsets}
    return {subset: support for subset, support in supports.items() if support >= least}


def as_dict(found):
    assert len({one.items for one in found}) == len(found)
    return {one.items: one.support for one in found}


@settings(max_examples=60, deadline=None)
@given(TRANSACTIONS, st.integers(1, 6))
def test_mining_is_counting(transactions, least):
    found = mine(transactions, least)
    assert as_dict(found) == counted(transactions, least)
    assert found == sorted(found, key=lambda one: (-one.support, len(one.items), one.items))


BAGS = st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=10)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(BAGS, st.integers(1, 4))
def test_mining_copies_is_counting_multisets(bags, least):
    """Copy k of item c is c + 4 k: found is every multiset that enough bags hold, once, as its first copies."""
    wanted = {}
    for times in itertools.product(range(7), repeat=4):
        support = sum(all(bag.count(item) >= n for item, n in enumerate(times)) for bag in bags)
        if any(times) and support >= least:
            wanted[tuple(sorted(item + 4 * k for item, n in enumerate(times) for k in range(n)))] = support
    copies = [[item + 4 * k for item in range(4) for k in range(bag.count(item))] for bag in bags]
    found = mine(copies, least, kinds=4)
    assert as_dict(found) == wanted and found == sorted(found, key=lambda one: (-one.support, len(one.items), one.items))
    assert mine_top(copies, 5, kinds=4) == mine(copies, 1, kinds=4)[:5]


@pytest.mark.parametrize("least", [3, 7, 15])
def test_mining_is_what_mlxtend_finds(least):
    pandas = pytest.importorskip("pandas")
    fpgrowth = pytest.importorskip("mlxtend.frequent_patterns").fpgrowth
    rng = np.random.default_rng(0)
    table = rng.random((60, 14)) < rng.uniform(0.1, 0.7, 14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        theirs = fpgrowth(pandas.DataFrame(table), min_support=(least - 0.5) / len(table))
    expected = {tuple(sorted(items)): round(support * len(table)) for support, items in theirs.itertuples(index=False)}
    assert len(expected) > 14
    assert as_dict(mine([np.flatnonzero(row).tolist() for row in table], least)) == expected


@settings(max_examples=40, deadline=None)
@given(TRANSACTIONS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_laws_of_frequent_sets(transactions, least, random):
    """Subsets are frequent and no rarer; neither the order of transactions nor repeats matter; a larger threshold finds a part."""
    found = as_dict(mine(transactions, least))
    for items, support in found.items():
        assert all(found[items[:at] + items[at + 1 :]] >= support for at in range(len(items)) if len(items) > 1)
    shuffled = list(transactions)
    random.shuffle(shuffled)
    assert as_dict(mine(shuffled, least)) == found
    assert as_dict(mine(transactions, least + 1)).items() <= found.items() <= as_dict(mine(transactions, 1)).items()
    assert as_dict(mine([list(held) * 2 for held in transactions], least)) == found


@settings(max_examples=40, deadline=None)
@given(TRANSACTIONS, st.integers(1, 40))
def test_the_top_is_the_head_of_all(transactions, wanted):
    assert mine_top(transactions, wanted) == mine(transactions, 1)[:wanted]


def test_a_set_that_no_other_miner_may_lose():
    assert mine([{1, 2}, {1, 2}, {1}], 2) == [Frequent((1,), 3), Frequent((2,), 2), Frequent((1, 2), 2)]


def test_a_threshold_too_low_is_refused():
    with pytest.raises(BadInput, match=r"--support 0: give a whole number of at least 1"):
        mine([{1}], 0)
    with pytest.raises(BadInput, match=r"--support 1: more than 1,000 sets are so frequent; give a larger one"):
        mine([set(range(20))], 1, most=1000)
    assert len(mine_top([set(range(20)), {1}, {1, 2}], 10**9, most=1000)) == 3  # what was found before it became too much
