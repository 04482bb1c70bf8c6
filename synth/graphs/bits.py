"""Streams of bits, most significant first: whole numbers of known width, and Elias gamma codes for those that are mostly small.

Elias, IEEE Transactions on Information Theory 21(2), 1975: n >= 1 is written as floor(log2 n) zeros, then n in binary.
"""

import numpy as np
from jaxtyping import UInt8

LONGEST = 40  # zeros before a number: more than any count here needs


def width(kinds: int) -> int:
    """How many bits it takes to distinguish `kinds` things; 0 for one thing."""
    return max(0, kinds - 1).bit_length()


class BitWriter:
    """Collects numbers; `payload` gives the bytes, the last one filled up with zeros."""

    def __init__(self):
        self._bits: list[str] = []

    def number(self, value: int, bits: int) -> None:
        """Writes `value`, in [0, 2^bits), as `bits` bits, the highest first. Raises ValueError for another value."""
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{value} does not fit into {bits} bits")
        if bits:
            self._bits.append(f"{value:0{bits}b}")

    def natural(self, value: int) -> None:
        """Writes a whole number n >= 0 as the gamma code of n + 1: as many zeros as that has bits but one, then its bits. Raises ValueError
        for a negative one."""
        if value < 0:
            raise ValueError(f"{value} is negative")
        binary = f"{value + 1:b}"
        self._bits.append("0" * (len(binary) - 1) + binary)

    def payload(self) -> UInt8[np.ndarray, " p"]:
        """All bits written so far as bytes, at least one; the last is filled up with zeros."""
        whole = "".join(self._bits)
        whole += "0" * (-len(whole) % 8 if whole else 8)
        return np.frombuffer(int(whole, 2).to_bytes(len(whole) // 8, "big"), np.uint8).copy()


class BitReader:
    """Reads the numbers that a `BitWriter` wrote. Raises ValueError if the bytes end early or hold an impossible number."""

    def __init__(self, payload: UInt8[np.ndarray, " p"]):
        self._bits = "".join(f"{byte:08b}" for byte in np.asarray(payload).tobytes())
        self._at = 0

    def number(self, bits: int) -> int:
        """Reads the next number, of `bits` bits; 0 bits give 0. Raises ValueError if the bytes end early."""
        if self._at + bits > len(self._bits):
            raise ValueError("the payload ends early")
        text, self._at = self._bits[self._at : self._at + bits], self._at + bits
        return int(text, 2) if bits else 0

    def natural(self) -> int:
        """Reads the next whole number n >= 0 that `BitWriter.natural` wrote. Raises ValueError if the bytes end early or hold none."""
        one = self._bits.find("1", self._at, self._at + LONGEST + 1)
        if one < 0:
            raise ValueError("the payload ends early or holds an impossible number")
        zeros, self._at = one - self._at, one
        return self.number(zeros + 1) - 1

    def left(self) -> int:
        """How many bits are not read yet, those that fill the last byte included."""
        return len(self._bits) - self._at

    def done(self) -> None:
        """Raises ValueError if anything is left but the zeros, fewer than eight, that fill the last byte."""
        if self.left() >= 8 or "1" in self._bits[self._at :]:
            raise ValueError(f"{self.left()} bits of the payload are left over")
