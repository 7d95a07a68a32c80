"""What one process of the receiver is told when it starts, and what it tells."""

from pathlib import Path

import msgspec

from webhookd_load_test.receiver.counts import Counts
from webhookd_load_test.receiver.faults import Fault


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It shares `port` of 127.0.0.1, writes `received_file`, and says in `state_file` how it is.

    Files have absolute paths. Secrets are only in `secrets_file`; empty: there are none.
    """

    port: int
    received_file: str
    state_file: str
    seed: int
    faults: list[Fault]
    keep_values: bool
    secrets_file: str


class ProcessState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process listens, and is asked at `control_port` of 127.0.0.1; or it has ended, with these counts."""

    control_port: int
    ended: Counts | None = None


_state = msgspec.json.Decoder(ProcessState).decode


def write_state(file: Path, state: ProcessState) -> None:
    """Write the state, so that a reader sees the old or the new one."""
    unfinished = file.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(state))
    unfinished.replace(file)


def read_state(file: Path) -> ProcessState:
    """Read the state. Raises FileNotFoundError while there is none."""
    return _state(file.read_bytes())
