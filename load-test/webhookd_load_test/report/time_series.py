"""The series of a run, over seconds since the load began, from its result and its samples."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from webhookd_load_test.report.thinning import Point
from webhookd_load_test.run_folder.result import Second
from webhookd_load_test.run_folder.samples import ProcessSample, Sample

SECOND_NS = 1_000_000_000
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a plot. Its parts are drawn apart: between them nothing is known."""

    name: str
    parts: list[list[Point]]

    @property
    def points(self) -> list[Point]:
        """The points of all parts."""
        return [point for part in self.parts for point in part]


def parted(name: str, points: Iterable[tuple[float, float | None]]) -> Series:
    """A series that ends where a value is not known, and begins anew after it. What was before second 0 is left out."""
    parts: list[list[Point]] = [[]]
    for at_s, value in points:
        if value is None:
            parts.append([])
        elif at_s >= 0:
            parts[-1].append((at_s, value))
    return Series(name, [part for part in parts if part])


def by_second(name: str, seconds: Sequence[Second], value: Callable[[Second], float | None]) -> Series:
    """A figure of the result, drawn at the middle of its second; a second that is not listed is one without records."""
    return parted(name, ((second.at_s + 0.5, value(second)) for second in _without_holes(seconds)))


def _without_holes(seconds: Sequence[Second]) -> Iterator[Second]:
    ordered = sorted(seconds, key=lambda second: second.at_s)
    for before, after in pairwise(ordered):
        yield before
        yield from (Second(at_s=at_s) for at_s in range(before.at_s + 1, after.at_s))
    yield from ordered[-1:]


def sampled(name: str, samples: Sequence[Sample], began_ns: int, value: Callable[[Sample], float | None]) -> Series:
    """A figure of the samples."""
    return parted(name, ((since(began_ns, sample.at_ns), value(sample)) for sample in samples))


def growth(name: str, samples: Sequence[Sample], began_ns: int, value: Callable[[Sample], float | None]) -> Series:
    """How fast a figure of the samples grows, a second. A figure that fell began anew: nothing is drawn there."""
    return parted(name, _growth([(since(began_ns, sample.at_ns), value(sample)) for sample in samples]))


def _growth(points: Sequence[tuple[float, float | None]]) -> Iterator[tuple[float, float | None]]:
    for (before_s, before), (at_s, now) in pairwise(points):
        if before is None or now is None or now < before or at_s <= before_s:
            yield at_s, None
        else:
            yield at_s, (now - before) / (at_s - before_s)


def of_process(process: str, value: Callable[[ProcessSample], float]) -> Callable[[Sample], float | None]:
    """The figure of one process; None where the process was not there."""

    def found(sample: Sample) -> float | None:
        state = sample.processes.get(process)
        return None if state is None else value(state)

    return found


def process_names(samples: Iterable[Sample]) -> list[str]:
    """All processes that were there at some time, in the order of their names, numbers by their value."""
    names = {name for sample in samples for name in sample.processes}
    return sorted(names, key=lambda name: (name.rstrip("0123456789"), len(name), name))


def since(began_ns: int, at_ns: int) -> float:
    """Seconds from the begin to a time."""
    return (at_ns - began_ns) / SECOND_NS
