"""What is there of a run, whole or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from webhookd_load_test.report.time_series import since
from webhookd_load_test.run_folder import facts as run_facts
from webhookd_load_test.run_folder import result as run_result
from webhookd_load_test.run_folder import samples as run_samples
from webhookd_load_test.run_folder.facts import Event, RunFacts
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.result import Result
from webhookd_load_test.run_folder.samples import Sample

Document = TypeVar("Document")


class UnusableRunError(Exception):
    """A folder in which there is nothing to report: the message names it, and each file with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """The files of a run that could be read; `gaps` say in a sentence each what is not there."""

    facts: RunFacts | None = None
    result: Result | None = None
    samples: list[Sample] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    @property
    def began_ns(self) -> int:
        """When the load began; without run.json, when the first sample was taken."""
        if self.facts is not None:
            return self.facts.began_ns
        return self.samples[0].at_ns if self.samples else 0

    @property
    def events(self) -> list[Event]:
        """The events, in the order of their times."""
        return sorted(self.facts.events, key=lambda event: event.at_ns) if self.facts else []

    @property
    def end_s(self) -> float:
        """How many seconds after its begin the run ended, as far as anything is known of it; at least 1."""
        return max([1.0, *self._known_s()])

    def _known_s(self) -> Iterator[float]:
        if self.facts is not None:
            ends_ns = (self.facts.published_ns, self.facts.ended_ns)
            yield from (since(self.began_ns, at_ns) for at_ns in ends_ns if at_ns)
            yield from (since(self.began_ns, max(event.at_ns, event.until_ns)) for event in self.events)
        yield from (since(self.began_ns, sample.at_ns) for sample in self.samples[-1:])
        yield from (second.at_s + 1.0 for second in (self.result.seconds if self.result else []))


def read(folder: RunFolder) -> RunData:
    """Read what is there. Raises UnusableRunError when there is no usable file at all."""
    gaps: list[str] = []
    facts = _usable(folder.facts, run_facts.read, gaps)
    result = _usable(folder.result, run_result.read, gaps)
    samples = _usable(folder.samples, _samples, gaps)
    if facts is None and result is None and not samples:
        raise UnusableRunError(f"{folder.path}: nothing to report: {' '.join(gaps)}")
    return RunData(facts=facts, result=result, samples=samples or [], gaps=gaps)


def _usable(file: Path, read_file: Callable[[Path], Document], gaps: list[str]) -> Document | None:
    try:
        return read_file(file)
    except FileNotFoundError:
        gaps.append(ABSENT[file.name])
    except OSError as error:
        gaps.append(f"{file.name} cannot be read: {error.strerror}.")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        gaps.append(f"{file.name} is not usable: {error}.")
    return None


def _samples(file: Path) -> list[Sample]:
    return list(run_samples.read(file))


ABSENT = {
    "run.json": "There is no run.json: settings, events and versions are not known.",
    "result.json": "There is no result.json: what was published and received has not been compared yet.",
    "samples.jsonl": "There is no samples.jsonl: lag, memory, processor time and descriptors are not known.",
}
"""What is not known without a file."""
