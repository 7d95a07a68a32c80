"""A run that is as it should be passes; each thing that is wrong with one is counted, and the exit code says so.

Oracle: the counts, written out. The folder's files are real ones, changed by SQL after the run was written.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.load_test.run_files import BEGAN_NS, MS, Run, good_run, order
from webhookd_load_test.compare import comparison
from webhookd_load_test.compare.compare_command import compare
from webhookd_load_test.run_folder import result as result_file
from webhookd_load_test.run_folder.bounds import Bounds
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.result import SubscriptionResult

COUNTS = (
    "lost",
    "unexpected",
    "duplicates",
    "disorders",
    "key_disorders",
    "wrong_places",
    "wrong_keys",
    "wrong_values",
    "invalid_signatures",
    "refused",
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return good_run().write(tmp_path / "run")


def change(file: Path, sql: str, *values: object) -> None:
    """Run a statement that changes exactly one row."""
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(sql, values).rowcount == 1


def request_of(folder: RunFolder, path: str, number: int) -> int:
    query = "SELECT q.id FROM requests q JOIN records r ON r.request = q.id WHERE q.path = ? AND r.number = ?"
    with closing(sqlite3.connect(folder.received(0))) as connection:
        request: int = connection.execute(query, [path, number]).fetchone()[0]
    return request


def run_command(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Run the command without its handlers of signals: they would stay with the test's process."""
    monkeypatch.setattr("webhookd_load_test.compare.compare_command.raise_on_signals", lambda: None)
    return CliRunner().invoke(compare, [str(folder.path)])


def found(folder: RunFolder) -> dict[str, dict[str, int]]:
    """What is wrong with each subscription: its counts that are not 0."""
    subscriptions = comparison.compare(folder).subscriptions
    return {one.name: counts for one in subscriptions if (counts := not_zero(one))}


def not_zero(one: SubscriptionResult) -> dict[str, int]:
    return {name: getattr(one, name) for name in COUNTS if getattr(one, name)}


def test_untouched_run_passes(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run_command(folder, monkeypatch)
    assert (ran.exit_code, ran.output.splitlines()[0]) == (
        0,
        "PASSED: nothing lost, everything in order, all bounds held",
    )
    result = result_file.read(folder.result)
    assert result.passed
    assert not result.faults
    assert {one.name: (one.expected, one.delivered) for one in result.subscriptions} == {
        "orders": (30, 30),
        "all": (40, 40),
        "paid": (22, 22),
    }
    assert found(folder) == {}


def test_record_removed_from_the_receiver_is_lost(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    change(folder.received(0), "DELETE FROM records WHERE request = ?", request_of(folder, "/all", 7))
    assert found(folder) == {"all": {"lost": 1}}
    ran = run_command(folder, monkeypatch)
    assert ran.exit_code == 1
    assert "  1 record is lost: all 1" in ran.output
    assert "  all: record 7, refunds[1] offset 100" in ran.output
    (missing,) = result_file.read(folder.result).subscriptions[1].missing
    assert (missing.number, missing.topic, missing.partition, missing.offset) == (7, "refunds", 1, 100)


def test_record_sent_twice_is_a_duplicate_and_passes_without_a_bound(folder: RunFolder) -> None:
    again(folder, "/orders", 4)
    assert found(folder) == {"orders": {"duplicates": 1}}
    assert comparison.compare(folder).passed
    assert comparison.compare(folder, Bounds(duplicates=1)).passed
    assert comparison.compare(folder, Bounds(duplicates=0)).faults == ["1 duplicate, more than the bound of 0"]


def again(folder: RunFolder, path: str, number: int) -> int:
    """Deliver a record again, after everything else; returns the request."""
    first, last = request_of(folder, path, number), 1000
    change(
        folder.received(0),
        "INSERT INTO requests SELECT ?, received_ns + 9000000000, path, status, webhook_id, bytes, signature "
        "FROM requests WHERE id = ?",
        last,
        first,
    )
    change(
        folder.received(0),
        'INSERT INTO records SELECT ?, position, topic, partition, "offset", timestamp_ms, key, number, value '
        "FROM records WHERE request = ?",
        last,
        first,
    )
    return last


def swap(folder: RunFolder, path: str, one: int, other: int) -> None:
    """Let two records of a path arrive in each other's request."""
    first, second = request_of(folder, path, one), request_of(folder, path, other)
    for request, into in ((first, -1), (second, first), (-1, second)):
        change(folder.received(0), "UPDATE records SET request = ? WHERE request = ?", into, request)


def test_two_swapped_records_of_a_partition_are_out_of_order(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap(folder, "/all", 4, 5)  # of partition 1 and 0
    assert found(folder) == {}
    swap(folder, "/all", 12, 14)  # both of partition 0, of the keys 0 and 2
    assert found(folder) == {"all": {"disorders": 1}}
    (disorder,) = comparison.compare(folder).subscriptions[1].disorder
    assert (disorder.number, disorder.by, disorder.after_offset > disorder.offset) == (12, "partition", True)
    assert run_command(folder, monkeypatch).exit_code == 1


def test_two_swapped_records_of_a_key_are_out_of_order_by_both(folder: RunFolder) -> None:
    swap(folder, "/orders", 1, 4)  # key 1, the only one of partition 1
    assert found(folder) == {"orders": {"disorders": 1, "key_disorders": 1}}
    assert {one.by for one in comparison.compare(folder).subscriptions[0].disorder} == {"partition", "key"}


def test_record_that_arrives_again_before_later_ones_is_no_disorder(folder: RunFolder) -> None:
    request = again(folder, "/orders", 4)
    change(folder.received(0), "UPDATE requests SET received_ns = ? WHERE id = ?", BEGAN_NS + 1500 * MS, request)
    assert found(folder) == {"orders": {"duplicates": 1}}


def test_records_of_a_request_are_in_the_order_of_their_positions(tmp_path: Path) -> None:
    run = good_run()
    run.got = [one._replace(at_ms=5000) for one in run.got if one.path == "/orders"]
    run.batched = True
    run.subscriptions = run.subscriptions[:1]
    folder = run.write(tmp_path / "run")
    assert found(folder) == {}
    for position, into in ((1, -1), (3, 1), (-1, 3)):  # the records 1 and 4, for 3 is of another topic
        change(folder.received(0), "UPDATE records SET position = ? WHERE position = ?", into, position)
    assert found(folder) == {"orders": {"disorders": 1, "key_disorders": 1}}


def test_changed_value_is_wrong(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    set_value(folder, order(8, status="paid").decode().replace("8", "8.0"))
    assert found(folder) == {"paid": {"wrong_values": 1}}
    (deviation,) = comparison.compare(folder).subscriptions[2].deviations
    assert (deviation.kind, deviation.number) == ("value", 8)
    ran = run_command(folder, monkeypatch)
    assert ran.exit_code == 1
    assert "1 delivery has another value than was published: paid 1" in ran.output


def set_value(folder: RunFolder, value: str | None) -> None:
    request = request_of(folder, "/paid", 8)
    change(folder.received(0), "UPDATE records SET value = ? WHERE request = ?", value, request)


@pytest.mark.parametrize(
    "value",
    [
        ' {"order": 8, "status": "paid", "note": "ünï"}\n',
        '{"status":"paid","note":"\\u00fcn\\u00ef","order":8}',
        None,  # values that are not kept cannot be compared
    ],
)
def test_same_json_in_other_bytes_is_not_wrong(folder: RunFolder, value: str | None) -> None:
    set_value(folder, value)
    assert found(folder) == {}


@pytest.mark.parametrize("value", ["", "{", '{"order":true,"status":"paid","note":"ünï"}', "null"])
def test_other_json_is_wrong(folder: RunFolder, value: str) -> None:
    set_value(folder, value)
    assert found(folder) == {"paid": {"wrong_values": 1}}


@pytest.mark.parametrize("key", ['"k9"', "null", None, "k2", '{"base64":"azI="}'])
def test_changed_key_is_wrong(folder: RunFolder, key: str | None) -> None:
    request = request_of(folder, "/paid", 8)
    change(folder.received(0), "UPDATE records SET key = ? WHERE request = ?", key, request)
    assert found(folder) == {"paid": {"wrong_keys": 1}}


@pytest.mark.parametrize(("column", "value"), [("topic", "refunds"), ("partition", 1), ("offset", 9999)])
def test_wrong_place_is_wrong_and_changes_no_order(
    folder: RunFolder, column: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(folder, "/paid", 8)
    change(folder.received(0), f'UPDATE records SET "{column}" = ? WHERE request = ?', value, request)  # noqa: S608
    assert found(folder) == {"paid": {"wrong_places": 1}}
    assert run_command(folder, monkeypatch).exit_code == 1


@pytest.mark.parametrize("number", [40, 10**12, -1, None])
def test_record_that_nobody_published_is_unexpected(folder: RunFolder, number: int | None) -> None:
    request = again(folder, "/orders", 4)
    change(folder.received(0), "UPDATE records SET number = ? WHERE request = ?", number, request)
    assert found(folder) == {"orders": {"unexpected": 1}}
    assert not comparison.compare(folder).passed


def test_record_without_number_of_another_topic_is_not_counted(folder: RunFolder) -> None:
    request = again(folder, "/orders", 4)
    sql = "UPDATE records SET number = NULL, topic = 'others' WHERE request = ?"
    change(folder.received(0), sql, request)
    assert found(folder) == {}


def test_record_at_the_wrong_subscription_is_lost_and_unexpected(folder: RunFolder) -> None:
    request = request_of(folder, "/all", 7)  # a refund
    change(folder.received(0), "UPDATE requests SET path = '/orders' WHERE id = ?", request)
    assert found(folder) == {"orders": {"unexpected": 1}, "all": {"lost": 1}}


def test_record_that_the_filter_drops_is_unexpected(folder: RunFolder) -> None:
    request = request_of(folder, "/all", 10)  # open
    change(folder.received(0), "UPDATE requests SET path = '/paid' WHERE id = ?", request)
    assert found(folder) == {"all": {"lost": 1}, "paid": {"unexpected": 1}}


def test_record_at_a_path_of_no_subscription_is_a_fault(folder: RunFolder) -> None:
    request = again(folder, "/orders", 4)
    change(folder.received(0), "UPDATE requests SET path = '/nobody' WHERE id = ?", request)
    assert found(folder) == {}
    assert comparison.compare(folder).faults == ["1 delivery went to a path of no subscription"]


@pytest.mark.parametrize("status", [500, 429, 302, 0])
def test_refused_request_alone_has_delivered_nothing(folder: RunFolder, status: int) -> None:
    request = request_of(folder, "/all", 7)
    change(folder.received(0), "UPDATE requests SET status = ? WHERE id = ?", status, request)
    assert found(folder) == {"all": {"lost": 1, "refused": 1}}


def test_refused_request_that_comes_again_is_no_fault(folder: RunFolder) -> None:
    first = request_of(folder, "/all", 39)
    again(folder, "/all", 39)
    change(folder.received(0), "UPDATE requests SET status = 500 WHERE id = ?", first)
    result = comparison.compare(folder)
    assert result.passed
    assert {one.name: not_zero(one) for one in result.subscriptions if not_zero(one)} == {"all": {"refused": 1}}
    assert sum(second.refused for second in result.seconds) == 1


def test_invalid_signature_is_a_fault(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_of(folder, "/all", 7)
    change(folder.received(0), "UPDATE requests SET signature = 'invalid' WHERE id = ?", request)
    assert found(folder) == {"all": {"invalid_signatures": 1}}
    ran = run_command(folder, monkeypatch)
    assert (ran.exit_code, "1 request has an invalid signature: all 1" in ran.output) == (1, True)


SMALLER = "1 record was not acknowledged by Kafka, so the run is smaller than its scenario"


def test_unacknowledged_record_may_arrive_and_may_be_missing(tmp_path: Path) -> None:
    run = good_run()
    run.sent[5] = run.sent[5]._replace(acknowledged=False)
    result = comparison.compare(run.write(tmp_path / "arrived"))
    assert result.faults == [SMALLER]
    assert [(one.expected, one.delivered, one.unacknowledged) for one in result.subscriptions] == [
        (29, 29, 1),
        (39, 39, 1),
        (22, 22, 0),  # open: not wanted
    ]
    assert (result.publish.records, result.publish.not_acknowledged) == (39, 1)
    run.got = [one for one in run.got if one.number != 5]
    assert comparison.compare(run.write(tmp_path / "missing")).faults == [SMALLER]


def test_offset_that_kafka_did_not_tell_is_not_compared(tmp_path: Path) -> None:
    run = good_run()
    run.sent = [one._replace(offset=None) if number == 6 else one for number, one in enumerate(run.sent)]
    folder = run.write(tmp_path / "run")
    assert comparison.compare(folder).passed
    request = request_of(folder, "/orders", 6)
    change(folder.received(0), "UPDATE records SET partition = 1 WHERE request = ?", request)
    assert found(folder) == {"orders": {"wrong_places": 1}}


def test_run_with_nothing_acknowledged_does_not_pass(tmp_path: Path) -> None:
    run = good_run()
    run.sent = [one._replace(acknowledged=False) for one in run.sent]
    run.got = []
    assert comparison.compare(run.write(tmp_path / "run")).faults == [
        "nothing was expected: no record that a subscription wants was acknowledged by Kafka",
        "40 records were not acknowledged by Kafka, so the run is smaller than its scenario",
    ]


@pytest.mark.parametrize("processes", [2, 3])
def test_result_is_the_same_for_any_number_of_receivers(tmp_path: Path, processes: int) -> None:
    def sabotaged(run: Run) -> Run:
        run.got[10] = run.got[10]._replace(at_ms=run.got[30].at_ms + 1)
        run.got.append(run.got[3]._replace(at_ms=3333))
        run.got[20] = run.got[20]._replace(status=500)
        run.got[21] = run.got[21]._replace(value=b"{}")
        return run

    one = comparison.compare(sabotaged(good_run()).write(tmp_path / "one"))
    more = comparison.compare(sabotaged(good_run(processes=processes)).write(tmp_path / "more"))
    assert one == more
    assert not one.passed
