"""A benchmark case that fails is reported by its name, and the other cases still run.

Oracles: the output and the exit code. The cases are fakes; what runs and checks them is real.
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from webhookd_load_test.benchmarks.cases.attempts import Attempts, run_cases
from webhookd_load_test.benchmarks.cases.bench_case import CaseFailedError, check_all, check_order, row_of
from webhookd_load_test.benchmarks.cases.latency_case import Measured
from webhookd_load_test.benchmarks.cases.result_table import Cost, Row, print_table
from webhookd_load_test.benchmarks.cases.workers_case import Workers
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.process_usage import Usage


def usage(at: float) -> Usage:
    return Usage(at=at, cpu_s={"ingest": at}, resident_bytes={"ingest": 1, "worker": 1}, pids={})


def row(requests: int, elapsed_s: float = 2.0) -> Row:
    return row_of("that case", usage(1.0), usage(1.0 + elapsed_s), (requests, requests), ("request", 0.0))


def run(**cases: Callable[[], list[Row]]) -> tuple[list[Row], Attempts]:
    attempts = Attempts()
    return run_cases(attempts, cases, 2.0), attempts


def broken() -> list[Row]:
    raise ZeroDivisionError


def test_case_that_delivers_nothing_fails_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    rows, attempts = run(silent=lambda: [row(0)], good=lambda: [row(7)], broken=broken)
    code = attempts.exit_code()
    output = capsys.readouterr().out
    assert (len(rows), attempts.failed, code) == (1, ["silent", "broken"], 1)
    assert "FAILED silent: that case: nothing was delivered" in output
    assert "\nFAILED: silent, broken\n" in output


def test_missed_share_fails_by_name_and_keeps_its_row() -> None:
    workers = Workers(name="workers")
    idle, busy = row(40), row(150)
    assert [one.fault for one in workers.compared([busy, busy], (1, 1))] == ["", ""]
    rows, attempts = run(workers=lambda: workers.compared([idle], (1,)))
    assert (len(rows), attempts.failed, attempts.exit_code()) == (1, ["workers"], 1)


def test_shares_below_their_targets_are_marked() -> None:
    shares = [one.remark for one in Workers(name="workers").compared([row(152), row(280)], (1, 2))]
    assert shares[0].startswith("0.95 of all threads (≥ 0.95), 1.00 of linear (≥ 0.95);")
    assert shares[1].startswith("0.88 of all threads (≥ 0.95)!, 0.92 of linear (≥ 0.95)!;")


@pytest.mark.parametrize(("p99_ms", "mark"), [(15.0, ""), (15.2, "!")])
def test_latencies_are_compared_with_an_empty_task(p99_ms: float, mark: str) -> None:
    seen = ReceiverReport(p50_ms=0.7, p99_ms=p99_ms, received_ends={})
    said = Measured(row(1), seen).compared((1.0, 10.0)).remark
    assert f"p50 0.70 × (≤ 0.7), p99 {p99_ms / 10:.2f} × (≤ 1.5){mark} that of an empty Celery task" in said


def test_further_cost_is_compared_with_its_target() -> None:
    for cost_us, said in (
        (4.0, "the broker: 4.00 µs, 2.000 units (≤ 2)"),
        (5.0, "the broker: 5.00 µs, 2.500 units (≤ 2)!"),
    ):
        assert replace(row(1), costs=[Cost("the broker:", cost_us, 2.0)]).line(2.0).endswith(said)


def test_all_well_is_exit_code_zero() -> None:
    _, attempts = run(good=lambda: [row(7)])
    assert attempts.exit_code() == 0


def test_table_is_printed_without_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([row(7, elapsed_s=0.0)], None)
    assert "not known" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["missing", "out_of_order", "duplicates"])
def test_order_that_is_not_kept_fails_by_name(fault: str) -> None:
    seen = ReceiverReport(records=3, received_ends={"/ t 0": (5, 8)})
    check_order("that case", seen)
    check_all("that case", seen, 3)
    with pytest.raises(CaseFailedError, match="that case: "):
        check_order("that case", msgspec.structs.replace(seen, **{fault: 1}))
    with pytest.raises(CaseFailedError, match="3 of 4 records"):
        check_all("that case", seen, 4)
