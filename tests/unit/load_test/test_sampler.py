"""Samples of a run. Oracle: the file. The samples are taken by the real thread; the test waits for its signals."""

import threading
from pathlib import Path

import pytest

from webhookd_load_test.run_folder import samples
from webhookd_load_test.run_folder.samples import ProcessSample
from webhookd_load_test.scenario.sampler import Sampler

USED = {"worker-0": ProcessSample(cpu_s=1.5, resident_bytes=2, descriptors=3)}
PATIENCE_S = 60.0


def test_run_has_a_first_and_a_last_sample(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    taken = threading.Event()
    published = iter(range(1000))
    with Sampler(
        file,
        processes=lambda: USED,
        published=lambda: next(published),
        received=lambda: 5,
        lag=lambda: None,
        seen=lambda _sample: taken.set(),
    ):
        assert taken.wait(PATIENCE_S)
    found = list(samples.read(file))
    assert [one.published for one in found] == list(range(len(found)))
    assert len(found) >= 2
    assert (found[0].processes, found[0].received, found[0].lag) == (USED, 5, None)


def test_error_of_the_thread_ends_the_run(tmp_path: Path) -> None:
    def fail() -> int:
        raise RuntimeError("the receiver has ended")

    stopped = threading.Event()
    sampler = Sampler(
        tmp_path / "samples.jsonl",
        processes=dict,
        published=fail,
        received=fail,
        lag=lambda: None,
        seen=lambda _sample: None,
        failed=stopped.set,
    )
    with pytest.raises(RuntimeError, match="the receiver has ended"), sampler:
        assert stopped.wait(PATIENCE_S)


def test_incomplete_last_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    samples.append(file, samples.Sample(at_ns=1))
    with file.open("ab") as lines:
        lines.write(b'{"at_ns":2')
    assert [one.at_ns for one in samples.read(file)] == [1]
