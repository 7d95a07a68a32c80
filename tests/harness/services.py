"""Where the real services are that a test needs; whoever started them says so in the environment."""

import os
from typing import Final

import pytest

INSTALL: Final = {
    "postgres": "Postgres (apt install postgresql)",
    "redis": "Redis (apt install redis-server)",
    "kafka": "Java 17 and Maven (apt install openjdk-17-jre-headless maven)",
}
"""What to install, so that the test command can start the service by itself."""


def required_service(name: str) -> str:
    """The address of a running service, from WEBHOOKD_TEST_{NAME}.

    postgres: an SQLAlchemy URL of a database whose user may create others; redis: a redis:// URL; kafka: bootstrap
    servers. Without it the test is skipped with a line that says what to install; in CI it fails.
    """
    variable = f"WEBHOOKD_TEST_{name.upper()}"
    if address := os.environ.get(variable):
        return address
    missing = f"needs {INSTALL[name]}, or {variable} with the address of a running one"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
