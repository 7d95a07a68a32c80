"""How a closure test says what it found: one finding a line, whole."""

from collections.abc import Iterable


def told(what: str, findings: Iterable[str]) -> str:
    """The message of an assertion that wants no findings."""
    return "\n  ".join([f"{what}:", *findings])
