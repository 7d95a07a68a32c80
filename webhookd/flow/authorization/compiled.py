"""Compiles expressions of policies: on the value alone, or on the whole record if one of them reads key or headers."""

from collections.abc import Sequence

from webhookd.flow.authorization.record_source import RecordSource, misplaced, reserved_names
from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.compilation import Compiler
from webhookd.flow.filters.expression import Node, parse
from webhookd.flow.filters.paths import Dictionaries, Evaluate, Source


class ParsedExpressions:
    """Expressions of policies, parsed and checked; `reads_record` is whether one of them reads the key or headers."""

    def __init__(self, sources: Sequence[str]) -> None:
        """Parse the expressions. Raises InvalidFilter for one that cannot be used."""
        self.nodes: tuple[Node, ...] = tuple(parse(source) for source in sources)
        reserved = [reserved_names(node) for node in self.nodes]
        self.reads_record = any(reserved)
        for node, source, count in zip(self.nodes, sources, reserved, strict=True):
            _check_places(node, source, count)

    def compiled(self, value_source: Source, budget: Budget) -> tuple[Evaluate, ...]:
        """Compile them to functions of the value, or of a RecordRoot if `reads_record`."""
        source = RecordSource(value_source) if self.reads_record else value_source
        compiler = Compiler(source, budget)
        return tuple(compiler.compile(node) for node in self.nodes)


def _check_places(node: Node, source: str, count: int) -> None:
    if not count:
        return
    reading = RecordSource(Dictionaries())
    Compiler(reading, Budget()).compile(node)
    error = misplaced(count, reading.reserved, source)
    if error is not None:
        raise error
