"""Which key a record gets: all equally often, or as in a Zipf distribution.

The result is the same on every machine. The C library's power function is not exact, and differs between systems, so
only prime numbers are raised to the power, in decimal arithmetic, whose result the standard library defines. Every
other number is a product, which all processors compute alike.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from itertools import accumulate

DIGITS = 17


def chooser(keys: int, skew: float) -> Callable[[float], int]:
    """Return a function from a number in [0, 1) to a key from 0. Key k has the weight (k + 1) ** -skew."""
    if skew == 0:
        return lambda drawn: int(drawn * keys)
    limits = array("d", accumulate(_weights(keys, skew)))
    total = limits[-1]
    # A product that is rounded up to the total itself is no key.
    return lambda drawn: min(bisect_right(limits, drawn * total), keys - 1)


def _weights(keys: int, skew: float) -> Iterator[float]:
    """Weight of each key; 40 bytes a key are in use while it runs."""
    powers = array("d", bytes(8 * (keys + 1)))
    primes: list[int] = []
    yield 1.0
    for number in range(2, keys + 1):
        if powers[number] == 0.0:
            primes.append(number)
            powers[number] = _power(number, skew)
        _multiply(powers, primes, number)
        yield powers[number]


def _multiply(powers: "array[float]", primes: list[int], number: int) -> None:
    """Set the power of each product of the number and a prime that is not above its own least prime factor."""
    for prime in primes:
        if number * prime >= len(powers):
            return
        powers[number * prime] = powers[number] * powers[prime]
        if number % prime == 0:
            return


def _power(number: int, skew: float) -> float:
    with localcontext() as context:
        context.prec = DIGITS
        return float(Decimal(number) ** -Decimal(str(skew)))
