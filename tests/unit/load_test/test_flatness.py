"""Whether memory and descriptors are flat. Oracle: generated samples with a known slope."""

from collections.abc import Callable

import pytest

from webhookd_load_test.run_folder.samples import ProcessSample, Sample
from webhookd_load_test.scenario.flatness import growth

MEBIBYTE = 1 << 20


def run(
    resident: Callable[[int], float], descriptors: Callable[[int], float] = lambda _: 50, count: int = 400
) -> list[Sample]:
    return [
        Sample(
            at_ns=number,
            processes={
                "ingest": ProcessSample(
                    cpu_s=0.0, resident_bytes=int(resident(number) * MEBIBYTE), descriptors=int(descriptors(number))
                )
            },
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "resident",
    [
        lambda _: 200.0,
        lambda number: 200 + 20 * (number % 2),
        lambda number: min(300.0, 100.0 + 4 * number),  # grows in the warm-up only
        lambda number: 400 - number / 4,
    ],
)
def test_steady_memory_is_flat(resident: Callable[[int], float]) -> None:
    assert growth(run(resident)) == {}


def test_growing_memory_is_named() -> None:
    assert growth(run(lambda number: 200 + number / 2)) == {"ingest": "memory grew from 275 to 375 MiB"}


def test_growing_descriptors_are_named() -> None:
    found = growth(run(lambda _: 200.0, lambda number: 50 + number // 10))
    assert found == {"ingest": "open descriptors grew from 64 to 84"}


UNKNOWN = {"webhookd": "it is not known: fewer than 30 samples of its processes after the warm-up"}


def test_short_run_is_not_called_flat() -> None:
    assert growth(run(lambda _: 200.0, count=30)) == UNKNOWN


def test_run_without_samples_of_processes_is_not_called_flat() -> None:
    assert growth([Sample(at_ns=number) for number in range(400)]) == UNKNOWN


def test_process_that_has_ended_is_not_called_flat() -> None:
    samples = run(lambda _: 200.0)
    assert growth([*samples[:-1], Sample(at_ns=samples[-1].at_ns)]) == UNKNOWN


def test_services_are_not_judged() -> None:
    samples = [
        Sample(at_ns=one.at_ns, processes={**one.processes, "postgres": grown.processes["ingest"]})
        for one, grown in zip(run(lambda _: 200.0), run(lambda number: 200.0 + number), strict=True)
    ]
    assert growth(samples) == {}
