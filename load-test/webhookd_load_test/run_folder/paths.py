"""The files of a run, by their names in its folder."""

import shutil
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

OWN = (
    "records.csv*",
    "published.sqlite*",
    "received-*",
    "run.*",
    "samples.jsonl",
    "result.*",
    "report.*",
    "secrets.json*",
    "headroom-*",
    "logs",
)
"""The names of what a run leaves in its folder."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run. It can be compared and reported again at any time, also by another process."""

    path: Path

    @property
    def owner(self) -> Path:
        """The file that the process of the run owns."""
        return self.path / "run.owner"

    def others(self) -> list[str]:
        """The names of what is in the folder and is not of a run, sorted; [] without a folder."""
        names = sorted(entry.name for entry in self.path.iterdir()) if self.path.exists() else []
        return [name for name in names if not any(fnmatchcase(name, own) for own in OWN)]

    def empty(self) -> None:
        """Make the folder, or delete the run that is in it; what is not of a run stays, and so does `owner`."""
        self.path.mkdir(parents=True, exist_ok=True)
        others = {*self.others(), self.owner.name}
        for entry in self.path.iterdir():
            if entry.name in others:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    @property
    def records(self) -> Path:
        """The CSV file that was published."""
        return self.path / "records.csv"

    @property
    def published(self) -> Path:
        """What Kafka has acknowledged (published.py)."""
        return self.path / "published.sqlite"

    @property
    def facts(self) -> Path:
        """What was run, and on what (facts.py)."""
        return self.path / "run.json"

    @property
    def samples(self) -> Path:
        """Memory, descriptors, processor time and lag over time (samples.py), one JSON document in a line."""
        return self.path / "samples.jsonl"

    @property
    def result(self) -> Path:
        """The result of the comparison (result.py)."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.path / "report.html"

    @property
    def logs(self) -> Path:
        """The folder of the processes' logs."""
        return self.path / "logs"

    def received(self, process: int) -> Path:
        """What one process of the receiver got (received.py)."""
        return self.path / f"received-{process}.sqlite"

    def all_received(self) -> list[Path]:
        """The files of all processes of the receiver, in the order of their numbers."""
        return sorted(self.path.glob("received-*.sqlite"), key=lambda file: int(file.stem.rpartition("-")[2]))
