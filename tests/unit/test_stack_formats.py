"""Formatted storage of Kafka's nodes, kept and copied."""

from pathlib import Path

from stack import kafka_formats


def storage(folder: Path, text: str) -> Path:
    """The storage of a node, as if the tool had formatted it."""
    (place := folder / text).mkdir()
    (place / "meta.properties").write_text(text)
    return place


def test_nothing_is_copied_before_a_format_is_kept(tmp_path: Path) -> None:
    assert not kafka_formats.copy(tmp_path / "kept" / "1", tmp_path / "node")
    assert not (tmp_path / "node").exists()


def test_kept_format_is_copied(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "1"
    kafka_formats.keep(storage(tmp_path, "first"), kept)
    assert kafka_formats.copy(kept, tmp_path / "node")
    assert (tmp_path / "node" / "meta.properties").read_text() == "first"


def test_first_of_two_formats_is_kept_and_nothing_else_is_left(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "1"
    kafka_formats.keep(storage(tmp_path, "first"), kept)
    kafka_formats.keep(storage(tmp_path, "second"), kept)
    assert (kept / "meta.properties").read_text() == "first"
    assert list(kept.parent.iterdir()) == [kept]
