"""How long a response lets its connection be idle."""

import pytest

from webhookd.flow.attempt.keep_alive import idle_limit_s


@pytest.mark.parametrize(
    ("line", "limit_s"),
    [
        ("Keep-Alive: timeout=5", 4.0),
        ("keep-alive:timeout=5, max=1000", 4.0),
        ("KEEP-ALIVE: max=1000, Timeout = 5", 4.0),
        ('Keep-Alive: timeout="5"', 4.0),
        ("Keep-Alive: timeout=1", 0.0),
        ("Keep-Alive: timeout=0", 0.0),
        ("Keep-Alive: timeout=31", 30.0),
        ("Keep-Alive: timeout=999999999", 30.0),
        ("Keep-Alive: timeout=-5", 30.0),
        ("Keep-Alive: timeout=soon", 30.0),
        ("Keep-Alive: max=5", 30.0),
        ("Keep-Alive: max=5, notimeout=5", 30.0),
        ("X-Keep-Alive: timeout=5", 30.0),
        ("X: keep-alive: timeout=5", 30.0),
        ("X: 1", 30.0),
    ],
)
def test_limit_is_a_second_below_what_the_server_says(line: str, limit_s: float) -> None:
    assert idle_limit_s(f"HTTP/1.1 200 OK\r\n{line}\r\nServer: s".encode(), 30.0) == limit_s
