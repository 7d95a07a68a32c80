"""Reads JSON as webhookd does: in UTF-8, and without `NaN` and `Infinity`, which Python's parser takes."""

import json
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = Any  # any JSON


def parsed(text: bytes) -> Json:
    """The value of a text. Raises ValueError for what is not JSON, RecursionError for what is nested too deep."""
    return json.loads(text.decode(), parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
