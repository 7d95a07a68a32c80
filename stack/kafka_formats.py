"""Formatted storage of Kafka's nodes: made once in a checkout by Kafka's own tool, then copied.

It depends on Kafka's version, the id of the cluster and that of the node, and not on settings, ports or roles.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path


def copy(kept: Path, storage: Path) -> bool:
    """Copy a kept format to the storage of a node, which must not exist; returns whether there was one."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(kept, storage)
        return True
    return False


def keep(storage: Path, kept: Path) -> None:
    """Keep the format of a node's storage, before the node has started. Other processes may keep the same meanwhile."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        arriving = Path(scratch, "format")
        shutil.copytree(storage, arriving)
        with contextlib.suppress(OSError):  # it is kept already: a directory that is not empty is not replaced
            arriving.rename(kept)
