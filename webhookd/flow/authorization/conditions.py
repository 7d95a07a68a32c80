"""The conditions of a topic's policies, and the decoding of what they read of a record.

All conditions of a topic share one decoding. Like the filters, they decode only the members that they read.
"""

from collections.abc import Sequence

import msgspec

from webhookd.flow.authorization.compiled import ParsedExpressions
from webhookd.flow.authorization.record_source import RecordRoot
from webhookd.flow.authorization.seen_record import RecordContent
from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.costs import spends
from webhookd.flow.filters.decoding import (
    Trace,
    decode_all,
    decode_strictly,
    layout,
)
from webhookd.flow.filters.paths import Evaluate, Value


class Conditions:
    """Compiled conditions; `reads_record` is whether any reads the key or the headers.

    `spends` says of each whether it charges the budget; the caller refills it before.
    """

    def __init__(self, sources: Sequence[str], budget: Budget) -> None:
        """Compile conditions. Raises InvalidFilter."""
        parsed = ParsedExpressions(sources)
        trace = Trace()
        self.spends = [spends(node) for node in parsed.nodes]
        self.reads_record = parsed.reads_record
        self._whole = parsed.compiled(trace, budget)
        found = layout(trace.paths) if trace.paths else None
        self._reads_value = bool(trace.paths)
        self._decode = found.decode if found else decode_all
        self._partial = parsed.compiled(found, budget) if found else self._whole

    def of(self, record: RecordContent, value: bytes | None) -> tuple[Sequence[Evaluate], Value]:
        """The conditions, and the root to evaluate them on; `value` is that of the record, and valid JSON.

        Raises what reading the headers raises.
        """
        conditions, decoded = self._decoded(value)
        if not self.reads_record:
            return conditions, decoded
        return conditions, RecordRoot(decoded, record.key(), record.headers() or ())

    def _decoded(self, value: bytes | None) -> tuple[Sequence[Evaluate], Value]:
        if value is None or not self._reads_value:
            return self._whole, None
        try:
            return self._partial, self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._whole, decode_strictly(value)
