"""Commit metadata is read back as it was written; what other programs wrote there does no harm."""

import pytest

from webhookd.flow.offsets.commit_metadata import NO_METADATA, CommitMetadata, decode, encode


def test_metadata_is_read_back() -> None:
    metadata = CommitMetadata(
        topic_id="AAAA", failed_attempts=3, worker_losses=1, failed_probes=2, failing_since=5.5, undecodable=50
    )
    assert decode(encode(metadata)) == metadata


@pytest.mark.parametrize("metadata", [None, "", "by hand", "[]", '{"failures": "many"}', "\udcff"])
def test_what_other_programs_wrote_is_no_metadata(metadata: str | None) -> None:
    assert decode(metadata) == NO_METADATA


def test_metadata_is_far_below_kafkas_limit() -> None:
    assert (
        len(
            encode(
                CommitMetadata(
                    topic_id="x" * 22,
                    failed_attempts=99,
                    worker_losses=99,
                    failed_probes=99,
                    failing_since=1.8e9,
                    undecodable=99,
                )
            )
        )
        < 200
    )
