"""A whole 2xx status line is an acknowledgement, whatever follows it and however it is split.

The table is tests/harness/odd_responses.py.
"""

import pytest

from tests.harness import odd_responses as odd
from tests.harness.response_reading import read, result
from webhookd.flow.attempt.exchange_result import FailureCode

SIZES = (1, 2, 3, 7, 50, 1000)


@pytest.mark.parametrize("name", odd.ACKNOWLEDGED)
def test_whole_status_line_is_the_response(name: str) -> None:
    for wanted in (2, 5):
        data = odd.ACKNOWLEDGED[name].replace(b" 20", b" %d0" % wanted).replace(b"\t20", b"\t%d0" % wanted)
        reader, _ = read(data, [len(data)])
        assert (reader.finished, reader.fault, reader.status // 100) == (True, None, wanted)
        assert reader.keep_alive == (name in odd.REUSABLE or (name.endswith("behind a 204") and wanted == 5))


@pytest.mark.parametrize("name", odd.WHOLE)
def test_odd_response_does_not_wait_for_the_end_of_the_connection(name: str) -> None:
    reader, ended = read(odd.WHOLE[name], [len(odd.WHOLE[name])])
    assert reader.finished
    assert not ended


@pytest.mark.parametrize("name", [name for name in odd.WHOLE if name != "connection close and more"])
def test_connection_is_not_reused_however_the_response_was_split(name: str) -> None:
    assert not read(odd.WHOLE[name], [1])[0].keep_alive


@pytest.mark.parametrize(
    ("table", "fault"),
    [(odd.MALFORMED, FailureCode.RESPONSE_MALFORMED), (odd.TOO_LARGE, FailureCode.RESPONSE_TOO_LARGE)],
)
def test_what_has_no_status_line_is_a_fault(table: dict[str, bytes], fault: FailureCode) -> None:
    for name, data in table.items():
        for size in SIZES:
            reader, _ = read(data, [size])
            assert (name, reader.finished, reader.fault, reader.keep_alive) == (name, True, fault, False)


def test_cut_status_line_is_no_response() -> None:
    for data in odd.CUT_SHORT.values():
        reader, _ = read(data, [1])
        assert not reader.finished
        assert not reader.answered


@pytest.mark.parametrize("name", odd.ACKNOWLEDGED)
def test_result_is_independent_of_the_split(name: str) -> None:
    data = odd.ACKNOWLEDGED[name]
    whole = result(read(data, [len(data)])[0])
    for size in SIZES:
        assert result(read(data, [size])[0]) == whole
