"""A benchmark case that fails is reported by its name, and the other cases still run.

Oracles: the output and the exit code. The cases and the rig are fakes; the scripts of load-test/ are real.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LOAD_TEST = Path(__file__).resolve().parents[2] / "load-test"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> "Scripts":
    monkeypatch.syspath_prepend(LOAD_TEST)
    return Scripts()


class Scripts:
    """The modules of load-test/, which is a folder of scripts, not a package."""

    def __getattr__(self, name: str) -> ModuleType:
        return importlib.import_module(name)


def usage(scripts: Scripts, at: float) -> Any:  # noqa: ANN401 - a class of the scripts
    return scripts.measure.Usage(at=at, cpu_s={"ingest": at}, resident_bytes={"ingest": 1, "worker": 1})


def row(scripts: Scripts, requests: int, elapsed_s: float = 2.0) -> Any:  # noqa: ANN401 - likewise
    counts = (requests, requests)
    start, end = usage(scripts, 1.0), usage(scripts, 1.0 + elapsed_s)
    return scripts.bench_case.row_of("that case", start, end, counts, ("request", 0.0))


def run(scripts: Scripts, **cases: Any) -> tuple[list[Any], Any]:  # noqa: ANN401 - likewise
    attempts = scripts.bench.Attempts()
    return scripts.bench.run_cases(attempts, cases, None, 2.0), attempts


def test_case_that_delivers_nothing_fails_by_name(scripts: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    rows, attempts = run(
        scripts, silent=lambda _: [row(scripts, 0)], good=lambda _: [row(scripts, 7)], broken=lambda _: [1 // 0]
    )
    code = attempts.exit_code()
    output = capsys.readouterr().out
    assert (len(rows), attempts.failed, code) == (1, ["silent", "broken"], 1)
    assert "FAILED silent: that case: nothing was delivered" in output
    assert "\nFAILED: silent, broken\n" in output


def test_missed_share_fails_by_name_and_keeps_its_row(scripts: Scripts) -> None:
    workers = scripts.workers_case.Workers(name="workers")
    idle, busy = row(scripts, 40), row(scripts, 150)
    assert [one.fault for one in workers.compared([busy, busy], (1, 1))] == ["", ""]
    rows, attempts = run(scripts, workers=lambda _: workers.compared([idle], (1,)))
    assert (len(rows), attempts.failed, attempts.exit_code()) == (1, ["workers"], 1)


def test_all_well_is_exit_code_zero(scripts: Scripts) -> None:
    _, attempts = run(scripts, good=lambda _: [row(scripts, 7)])
    assert attempts.exit_code() == 0


def test_table_is_printed_without_a_unit(scripts: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    scripts.table.print_table([row(scripts, 7, elapsed_s=0.0)], None)
    assert "not known" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["missing", "rewinds", "duplicates"])
def test_order_that_is_not_kept_fails_by_name(scripts: Scripts, fault: str) -> None:
    seen = {"missing": 0, "rewinds": 0, "duplicates": 0, "records": 3, "received_ends": {"/ t 0": [5, 8]}}
    scripts.bench_case.check_order("that case", seen)
    scripts.bench_case.check_all("that case", seen, 3)
    with pytest.raises(scripts.bench_case.CaseFailedError, match="that case: "):
        scripts.bench_case.check_order("that case", {**seen, fault: 1})
    with pytest.raises(scripts.bench_case.CaseFailedError, match="3 of 4 records"):
        scripts.bench_case.check_all("that case", seen, 4)
