"""Writes the files of a run that are one document."""

from pathlib import Path


def write(file: Path, content: bytes) -> None:
    """Write the file, so that a reader sees the old or the new document. Raises OSError."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_bytes(content)
    unfinished.replace(file)
