"""The state directory of `webhookd run`: the database, its secret key, the cluster's id, and a lock."""

import fcntl
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from webhookd.errors import Conflict, InvalidInput
from webhookd.settings import Settings
from webhookd.store.secret_keys import with_key_file


class StateDirectory(AbstractContextManager["StateDirectory"]):
    """A context manager that creates the directory if it is missing, and locks it until the end of the context.

    Entering raises InvalidInput when the directory is not writable, and Conflict when another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def database_url(self) -> str:
        """The URL of the SQLite file in it."""
        return f"sqlite:///{self._path / 'webhookd.db'}"

    def bind_to_cluster(self, cluster_id: str) -> None:
        """Store the cluster's id. Raises InvalidInput when the directory belongs to another cluster."""
        place = self._path / "cluster"
        if not place.exists():
            place.write_text(cluster_id, encoding="utf-8")
        elif place.read_text(encoding="utf-8") != cluster_id:
            raise InvalidInput(f"{self._path} belongs to another Kafka cluster", field="--state")

    def with_secret_key(self, settings: Settings) -> Settings:
        """Return the settings with the key that is kept here, unless they have one. Raises InvalidInput."""
        try:
            return with_key_file(settings, self._path)
        except OSError as error:
            raise InvalidInput(f"{error.strerror}: {self._path}", field="--state") from error

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
            raise Conflict(f"another process uses {self._path}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()
