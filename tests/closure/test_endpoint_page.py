"""docs/how-to/what-your-endpoint-will-see.md shows what is sent.

Oracle: the requests of a run of webhookd on librdkafka's mock cluster, in this process.
"""

from difflib import unified_diff

from documentation.reference.endpoint_page import FILE, endpoint_page
from tests.closure.findings import told


def test_page_shows_what_is_sent() -> None:
    committed = FILE.read_text(encoding="utf-8").splitlines()
    changes = list(unified_diff(committed, endpoint_page().splitlines(), lineterm="", n=0))
    assert changes == [], told(f"docs/how-to/{FILE.name} is out of date: run `make reference` and commit it", changes)
