"""How long a connection may stay idle before the endpoint's server closes it."""

import re
from typing import Final

MARGIN_S: Final = 1.0
"""A connection is closed this long before its server says that it will. A request that is sent while the server closes
the connection is lost, and has to be sent again: the margin covers the way there and the sweep of the pool."""

# RFC 2068 §19.7.1.1 defines the field, and servers such as Node.js (5 s) and Apache (5 s) send it.
_TIMEOUT = re.compile(rb"\nkeep-alive[ \t]*:(?:[^\r\n]*[ \t,;])?timeout[ \t]*=[ \t]*\"?([0-9]{1,9})", re.IGNORECASE)


def idle_limit_s(head: bytes, most_s: float) -> float:
    """How long the connection of this response may be kept idle, at most `most_s`; 0: it is not to be kept."""
    found = _TIMEOUT.search(head)
    return most_s if found is None else min(most_s, max(0.0, float(found[1]) - MARGIN_S))
