"""A set of record numbers, one bit each."""

from collections.abc import Iterator


class NumberSet:
    """Numbers from 0. It takes a bit for each number up to the highest one, so that a long run fits in memory.

    SeenOffsets is for offsets that begin anywhere; this one has `&`, `-` and an order.
    """

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> bool:
        """Add a number; returns whether it is new."""
        index, mask = number >> 3, 1 << (number & 7)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 + (index >> 3) - len(self._bits)))
        if self._bits[index] & mask:
            return False
        self._bits[index] |= mask
        return True

    def __contains__(self, number: int) -> bool:
        """Whether the number is in the set; negative ones never are."""
        index = number >> 3
        return 0 <= index < len(self._bits) and bool(self._bits[index] & (1 << (number & 7)))

    def __len__(self) -> int:
        """How many numbers are in the set; takes time."""
        return self._whole().bit_count()

    def __iter__(self) -> Iterator[int]:
        """The numbers, from the lowest."""
        for index, bits in enumerate(self._bits):
            if bits:
                yield from (index * 8 + bit for bit in range(8) if bits & (1 << bit))

    def __and__(self, other: "NumberSet") -> "NumberSet":
        """The numbers that are in both."""
        return _of(self._whole() & other._whole())

    def __sub__(self, other: "NumberSet") -> "NumberSet":
        """The numbers that are not in the other."""
        return _of(self._whole() & ~other._whole())

    def _whole(self) -> int:
        return int.from_bytes(self._bits, "little")


def _of(bits: int) -> NumberSet:
    made = NumberSet()
    made._bits[:] = bits.to_bytes((bits.bit_length() + 7) // 8, "little")  # noqa: SLF001  # its own class
    return made
