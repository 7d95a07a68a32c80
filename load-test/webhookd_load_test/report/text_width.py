"""How much room text takes that nobody has measured: an upper estimate for a proportional font."""

import unicodedata

NARROW_EM, USUAL_EM, CAPITAL_EM, WIDE_EM = 0.41, 0.64, 0.78, 1.05
ELLIPSIS = "…"


def width(text: str, size_px: float) -> float:
    """The width of a text, in pixels."""
    return size_px * sum(map(_em, text))


def cut(text: str, size_px: float, room_px: float) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    if width(text, size_px) <= room_px:
        return text
    kept = text
    while kept and width(kept + ELLIPSIS, size_px) > room_px:
        kept = kept[:-1]
    return kept.rstrip() + ELLIPSIS


def _em(character: str) -> float:
    if character in "iIjl.,:;|!' ()[]ftr-/":
        return NARROW_EM
    if unicodedata.east_asian_width(character) in "WF":
        return WIDE_EM
    return CAPITAL_EM if character.isupper() or character in "mw%@" else USUAL_EM
