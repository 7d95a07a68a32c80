"""A table of a report: cells are texts, ready to be shown."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`texts` are the first columns that are not numbers; `wrong` rows are why the run failed.

    The first column of a `numbered` one is the number of the row.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    texts: int = 1
    wrong: frozenset[int] = frozenset()
    about: str = ""
    foot: list[str] = field(default_factory=list)
    numbered: bool = False

    @property
    def pairs(self) -> bool:
        """Whether it has two columns, so that two such tables fit beside each other."""
        return len(self.columns) == 2
