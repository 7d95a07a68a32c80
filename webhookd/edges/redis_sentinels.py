"""Asks Sentinels which server is the primary."""

from collections.abc import Mapping
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from webhookd.edges.redis_address import RedisAddress, host_and_port
from webhookd.edges.redis_failures import detail_of

TIMEOUTS: Final = ("socket_timeout", "socket_connect_timeout", "socket_keepalive")
"""The options of a connection to Redis that apply to the Sentinels too."""


class Sentinels(Sentinel):
    """The Sentinels of an address. Its connections have the timeouts in `options` and the address's TLS."""

    def __init__(self, address: RedisAddress, options: Mapping[str, Any]) -> None:
        super().__init__([])  # type: ignore[no-untyped-call]  # redis-py has no types here
        # Without retries: the next Sentinel is asked instead.
        shared = {
            **{name: options[name] for name in TIMEOUTS if name in options},
            **address.sentinel_login.parameters(),
            **address.tls_parameters(),
            "ssl": address.tls is not None,
            "retry": Retry(NoBackoff(), 0),
        }
        self._by_name = [(host_and_port(*host), redis.Redis(*host, **shared)) for host in address.hosts]
        self.sentinels = [client for _, client in self._by_name]
        self._named_last = ""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the primary. Raises redis' errors; their text names each Sentinel's answer.

        A Sentinel that cannot be reached, refuses the login or does not know a primary is passed over: redis-py would
        end at the first that does not permit the question.
        """
        answers: list[str] = []
        # First the one that has named the primary last: one that is down would delay every connection.
        for name, sentinel in sorted(self._by_name, key=lambda item: item[0] != self._named_last):
            try:
                masters: Any = sentinel.sentinel_masters()
            except redis.RedisError as error:
                answers.append(f"{name}: {detail_of(error)}")
                continue
            state = masters.get(service_name)
            if state and self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]  # as above
                self._named_last = name
                return state["ip"], state["port"]
            answers.append(f"{name}: it is down" if state else f"{name}: the name is unknown")
        raise MasterNotFoundError(f"no Sentinel names a primary {service_name!r} ({', '.join(answers)})")
