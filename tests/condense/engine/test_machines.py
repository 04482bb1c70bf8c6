"""Machines by name, times from what makers state, and rates from what was measured."""

import pytest

from condense.engine.machines import DEVICES, SHARES, Fitted, Published, Span, fit_rates, machine_of, together
from condense.engine.operations import Work
from synth.errors import BadInput


@pytest.mark.parametrize("kind", DEVICES)
def test_a_name_is_a_kind_and_a_number(kind):
    """Of `rtx4090` too, which has the letter in it that stands before a number."""
    one, eight = machine_of(kind), machine_of(f"{kind}x8")
    assert (one.kind, one.count, eight.kind, eight.count) == (kind, 1, kind, 8)
    assert one.device is eight.device is DEVICES[kind] and (str(one), str(eight)) == (kind, f"8 x {kind}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("h10", r"--device h10: is not known \(known: h100, .*, here; xN behind one .*\); did you mean h100\?"),
        ("rtx3090", "--device rtx3090: is not known"),
        ("herex2", "--device herex2: is not known"),
        ("h100x0", "--device h100x0: '0' is no number of devices; give a whole number from 1, as in h100x8"),
        ("h100x", "--device h100x: '' is no number"),
        ("v5ex-2", "--device v5ex-2: '-2' is no number"),
    ],
)
def test_another_name_is_refused(text, words):
    with pytest.raises(BadInput, match=words):
        machine_of(text)


def test_what_takes_longer_counts_at_both_shares():
    """100 operations a second and 10 bytes a second: 50 operations take half a second, 30 bytes three."""
    device = Published(100.0, 1e9, 10.0, "cuda")
    least, most = SHARES
    assert device.seconds(Work(50, 1)) == pytest.approx((0.5 / most, 0.5 / least))
    assert device.seconds(Work(50, 30)) == pytest.approx((3 / most, 3 / least))
    assert 0 < least < most <= 1 and device.seconds(Work()) == (0, 0)
    assert together([Span(1, 2), Span(3, 5)]) == (4, 7) and together([]) == (0, 0)


def took(work: Work, flops: float, bandwidth: float) -> float:
    return max(work.flops / flops, work.bytes / bandwidth)


def test_rates_that_explain_the_times_are_found():
    """Times of a machine of 3e9 operations and 2e8 bytes a second; one or two of the works wait for bytes."""
    works = [Work(10**9, 10**8), Work(8 * 10**9, 2 * 10**8), Work(2 * 10**8, 10**9)]
    for chosen in (works[:2], works, works[1:]):
        flops, bandwidth = fit_rates(chosen, [took(work, 3e9, 2e8) for work in chosen])
        assert (flops, bandwidth) == pytest.approx((3e9, 2e8))
    assert Fitted(flops, 1e9, bandwidth, "cpu").seconds(Work(3 * 10**9, 10**8)) == pytest.approx((1.0, 1.0))
    assert Fitted(flops, 1e9, bandwidth, "cpu").seconds(Work(3 * 10**8, 10**9)) == pytest.approx((5.0, 5.0))


def test_the_rates_are_those_of_the_least_squares():
    """Among all rates near them, by trying; times are off by up to a tenth."""
    works = [Work(10**9, 10**9), Work(2 * 10**9, 10**9), Work(8 * 10**9, 2 * 10**8), Work(9 * 10**9, 10**8)]
    seconds = [took(work, 3e9, 2e8) * off for work, off in zip(works, (1.1, 0.95, 0.9, 1.05), strict=True)]

    def error(flops, bandwidth):
        return sum((1 - took(work, flops, bandwidth) / own) ** 2 for work, own in zip(works, seconds, strict=True))

    flops, bandwidth = fit_rates(works, seconds)
    near = [0.8 + 0.01 * step for step in range(46)]
    assert error(flops, bandwidth) <= min(error(flops * a, bandwidth * b) for a in near for b in near)
