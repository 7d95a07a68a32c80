"""The addresses of the real services; a test that needs a missing one is skipped or fails."""

import os
from typing import NoReturn

import pytest

SERVICES = {
    "kafka": "a Java 17 and Maven (apt-get install openjdk-17-jre-headless maven)",
    "redis": "Redis (apt-get install redis-server)",
    "postgres": "Postgres (apt-get install postgresql)",
}
"""What `make test` needs to start each service."""


def required_service(name: str) -> str:
    """The address of a service: bootstrap servers, a Redis URL, or the SQLAlchemy URL of a Postgres superuser.

    Without the service the test is skipped with a line that says what to install; with CI=true it fails.
    """
    variable = f"WEBHOOKD_TEST_{name.upper()}"
    address = os.environ.get(variable, "")
    if not address:
        missing_service(f"no {name}: set {variable}, or let `make test` start it, which needs {SERVICES[name]}")
    return address


def missing_service(line: str) -> NoReturn:
    """Skip the test with this line; with CI=true it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)
