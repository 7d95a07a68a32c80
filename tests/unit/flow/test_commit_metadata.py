"""What a lane leaves with its commit is read back, and what others left there does no harm."""

import pytest

from webhookd.flow.offsets.commit_metadata import NOTHING, CommitMetadata, decode, encode


def test_metadata_comes_back() -> None:
    metadata = CommitMetadata(topic_id="AAAA", failures=3, deaths=1, probes=2, since=5.5, unreadable=50)
    assert decode(encode(metadata)) == metadata


@pytest.mark.parametrize("metadata", [None, "", "by hand", "[]", '{"failures": "many"}', "\udcff"])
def test_what_others_wrote_says_nothing(metadata: str | None) -> None:
    assert decode(metadata) == NOTHING


def test_metadata_fits_where_kafka_keeps_it() -> None:
    assert (
        len(encode(CommitMetadata(topic_id="x" * 22, failures=99, deaths=99, probes=99, since=1.8e9, unreadable=99)))
        < 200
    )
