"""A projection that builds the value that is seen with a JMESPath expression."""

import msgspec

from webhookd.errors import FilterTooCostly, InvalidInput, ProjectionFailed
from webhookd.flow.authorization.compiled import ParsedExpressions
from webhookd.flow.authorization.exact_values import ExactValue
from webhookd.flow.authorization.json_values import JsonValue
from webhookd.flow.authorization.record_source import RecordRoot
from webhookd.flow.authorization.seen_record import RecordContent, SeenRecord
from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.matcher import FAULTS, reason
from webhookd.flow.filters.paths import Dictionaries


class ExpressionProjection:
    """A compiled expression; it refills `budget` for each record. Key and headers are seen only inside its result."""

    def __init__(self, source: str, budget: Budget) -> None:
        """Compile the expression. Raises InvalidFilter."""
        try:
            parsed = ParsedExpressions([source])
        except InvalidInput as error:
            error.field = "expression"
            raise
        self._reads_record = parsed.reads_record
        self._budget = budget
        (self._evaluate,) = parsed.compiled(Dictionaries(), budget)

    def project(self, record: RecordContent, _json: JsonValue | None) -> SeenRecord:
        """See projection.Project."""
        value = record.value()
        headers = record.headers() or () if self._reads_record else ()
        self._budget.refill(value or b"")
        try:
            exact = ExactValue(b"null" if value is None else value)
            root = RecordRoot(exact.value, record.key(), headers) if self._reads_record else exact.value
            result = self._evaluate(root)
            self._budget.spend_whole(result, written=True)
            written = exact.written(result)
        except FilterTooCostly as error:
            raise ProjectionFailed("the expression took more steps, or built a larger value, than it may") from error
        except (*FAULTS, msgspec.MsgspecError) as error:
            raise ProjectionFailed(f"the expression: {reason(error)}") from error
        if result is not None:
            return SeenRecord(value=written)
        if exact.value is not None:
            raise ProjectionFailed("the expression has the result null")
        return SeenRecord(value=value)
