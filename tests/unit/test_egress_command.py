"""What `webhookd egress` says about URLs, and its exit code. No host is looked up: each is an address, or refused."""

import pytest
from click.testing import CliRunner

from command.main import main

PROXY = {"WEBHOOKD_EGRESS_PROXY": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("url", "environment", "lines", "code"),
    [
        ("https://8.8.8.8/a", {}, ["https://8.8.8.8/a: accepted", "    8.8.8.8  allowed"], 0),
        ("http://127.1/", {}, ["http://127.1/: refused: loopback", "    127.0.0.1  refused: loopback"], 1),
        (
            "http://a.example/",
            {"WEBHOOKD_EGRESS_REQUIRE_HTTPS": "true"},
            ["http://a.example/: refused: https_required"],
            1,
        ),
        ("ftp://a/", {}, ["ftp://a/: cannot be used: it has the scheme ftp: write http or https"], 1),
        (
            "https://a.example/",
            PROXY,
            [
                "https://a.example/: no rule refuses it; the egress proxy resolves the host and judges its addresses",
            ],
            0,
        ),
    ],
)
def test_verdict_about_a_url(url: str, environment: dict[str, str], lines: list[str], code: int) -> None:
    done = CliRunner().invoke(main, ["egress", url], env=environment)
    assert (done.stdout.splitlines(), done.stderr, done.exit_code) == (lines, "", code)


def test_one_refused_url_among_several_is_an_error() -> None:
    done = CliRunner().invoke(main, ["egress", "https://10.0.0.1/", "https://8.8.8.8/"])
    assert ("https://8.8.8.8/: accepted" in done.stdout, done.exit_code) == (True, 1)
