"""The state directory of `webhookd run`: the database, and a lock that one process holds."""

import fcntl
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from webhookd.errors import Conflict, InvalidInput


class StateDirectory(AbstractContextManager["StateDirectory"]):
    """Made when it is missing, and locked inside the context; the lock goes with the process, however that ends.

    Entering raises InvalidInput when it cannot be written to, and Conflict when another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def database_url(self) -> str:
        """The SQLite file in it."""
        return f"sqlite:///{self._path / 'webhookd.db'}"

    def belongs_to(self, cluster_id: str) -> None:
        """Keep the cluster's id, or raise InvalidInput when the state is about another one's offsets."""
        place = self._path / "cluster"
        if not place.exists():
            place.write_text(cluster_id, encoding="utf-8")
        elif place.read_text(encoding="utf-8") != cluster_id:
            raise InvalidInput(f"{self._path} is about another Kafka cluster", field="--state")

    def __enter__(self) -> Self:
        try:
            self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (self._path / "lock").open("a", encoding="ascii")
        except OSError as error:
            raise InvalidInput(f"{error.strerror}: {self._path}", field="--state") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise Conflict(f"another process runs on {self._path}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()
