"""The result table of a run: printed at its end, and written as text and as Markdown."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".state" / "chaos"
HEADINGS = ("scenario", "records", "lost", "duplicates (bound)", "longest stall (bound)", "result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scenario: the sums over its subscriptions, and the longest stall."""

    scenario: str
    records: int
    lost: int
    duplicates: int
    duplicate_bound: int
    stall_s: float
    stall_bound_s: float
    result: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the row."""
        return (
            self.scenario,
            f"{self.records:,}",
            f"{self.lost:,}",
            f"{self.duplicates:,} ({self.duplicate_bound:,})",
            f"{self.stall_s:.1f} s ({self.stall_bound_s:.0f} s)",
            self.result,
        )


class Report:
    """Collects the rows and notes of a run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def text(self) -> str:
        """The table as text."""
        table = [HEADINGS, *(row.cells for row in self.rows)]
        widths = [max(len(cells[i]) for cells in table) for i in range(len(HEADINGS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(c, widths, strict=True)).rstrip() for c in table]
        return "\n".join([*lines, *self.notes, f"seed {self.seed}"])

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, *(row.cells for row in self.rows))]
        lines.insert(1, "|---|---:|---:|---:|---:|---|")
        return "\n".join([*lines, "", f"Seed {self.seed}."])

    def write(self, name: str) -> Path:
        """Write both forms; returns the path of the Markdown file."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.txt").write_text(self.text() + "\n", encoding="utf-8")
        path = FOLDER / f"{name}.md"
        path.write_text(self.markdown() + "\n", encoding="utf-8")
        return path
