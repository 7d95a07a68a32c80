"""What a lane leaves with its commit is read back, and what others left there does no harm."""

import pytest

from webhookd.flow.memo import NOTHING, Memo, decode, encode


def test_memo_comes_back() -> None:
    memo = Memo(topic_id="AAAA", failures=3, deaths=1, probes=2, since=5.5, unreadable=50)
    assert decode(encode(memo)) == memo


@pytest.mark.parametrize("metadata", [None, "", "by hand", "[]", '{"failures": "many"}', "\udcff"])
def test_what_others_wrote_says_nothing(metadata: str | None) -> None:
    assert decode(metadata) == NOTHING


def test_memo_fits_where_kafka_keeps_it() -> None:
    assert len(encode(Memo(topic_id="x" * 22, failures=99, deaths=99, probes=99, since=1.8e9, unreadable=99))) < 200
