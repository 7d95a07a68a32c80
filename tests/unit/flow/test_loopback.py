"""Which values of the header Host name this machine."""

import pytest

from webhookd.flow.access.loopback import names_loopback


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "localhost:8080", "LocalHost:1", "localhost.", "webhookd.localhost:8080",
        "127.0.0.1", "127.0.0.1:8080", "127.255.0.9:80", "[::1]", "[::1]:8080",
    ],
)  # fmt: skip
def test_loopback_is_known(header: str) -> None:
    assert names_loopback(header)


@pytest.mark.parametrize(
    "header",
    [
        "", ":8080", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
        "notlocalhost", "evil.example:8080:127.0.0.1", "localhost:8080, evil.example", "localhost@evil.example",
        "0.0.0.0:8080", "10.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "::1", "[::]", "[fd00::1]:8080", "[localhost]",
        "[127.0.0.1]", "[::1]evil.example", "localhost:", "localhost:port", "localhost/..", " localhost",
    ],
)  # fmt: skip
def test_anything_else_is_not_loopback(header: str) -> None:
    assert not names_loopback(header)
