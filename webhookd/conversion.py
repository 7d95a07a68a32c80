"""Converts documents to types that msgspec knows before a second thread can ask for them.

msgspec (0.22) keeps what it knows of a dataclass, Struct or TypedDict before that is complete. Two threads that convert
to the same type for the first time can end the process with a segmentation fault. So converters, like msgspec's
decoders, are made while their module is imported, which one thread does; tests/closure checks that nothing else
converts.
"""

from collections.abc import Callable
from typing import Any

import msgspec


def converter(kind: Any) -> Callable[[object], Any]:  # noqa: ANN401  # a type, or a union of types
    """Return a function that converts a document of built-in types to this type.

    The function raises msgspec.ValidationError for a document that does not fit.
    """
    msgspec.json.Decoder(kind)  # learns the type, with all types in it

    def convert(document: object) -> Any:  # noqa: ANN401  # an instance of `kind`
        return msgspec.convert(document, kind)

    return convert
