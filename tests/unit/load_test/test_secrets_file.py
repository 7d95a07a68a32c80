"""The file with the signing secrets of the receiver of the load test.

Oracle: which of two secrets verifies a request that the package `standardwebhooks` has signed.
"""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from webhookd_load_test.receiver import secrets_file
from webhookd_load_test.receiver.secrets_file import SecretsFile, UnusableSecretsError
from webhookd_load_test.receiver.signatures import verified

ONE, TWO = "whsec_b25lb25lb25lb25lb25lb25lb25lb25l", "whsec_dHdvdHdvdHdvdHdvdHdvdHdvdHdvdHdv"
BODY = "{}"


def valid_with(secrets: SecretsFile, path: str) -> list[str]:
    """The secrets with which a request to this path may be signed."""
    now = datetime.now(UTC)
    found = []
    for secret in (ONE, TWO):
        signature = Webhook(secret).sign("msg_1", now, BODY)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        if verified(headers, BODY.encode(), secrets.of(path)) == "valid":
            found.append(secret)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secrets.json"


def test_file_is_for_its_owner_alone_and_read_again(file: Path) -> None:
    secrets_file.write(file, {"/one": ONE})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = SecretsFile(file)
    assert (valid_with(secrets, "/one"), valid_with(secrets, "/two")) == ([ONE], [])
    secrets_file.write(file, {"/one": [TWO], "/two": [ONE, TWO]})
    assert (valid_with(secrets, "/one"), valid_with(secrets, "/two")) == ([TWO], [ONE, TWO])
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_version_that_cannot_be_used_changes_nothing(file: Path) -> None:
    secrets_file.write(file, {"/one": ONE})
    secrets = SecretsFile(file)
    file.write_text('{"/one": "whsec_', encoding="utf-8")
    assert valid_with(secrets, "/one") == [ONE]
    assert str(file) in secrets.fault
    file.unlink()
    assert valid_with(secrets, "/one") == [ONE]
    assert secrets.fault == f"{file}: No such file or directory"
    secrets_file.write(file, {"/one": TWO})
    assert (valid_with(secrets, "/one"), secrets.fault) == ([TWO], "")


def test_without_a_secret_nothing_is_verified() -> None:
    assert verified({"webhook-signature": "v1,YQ=="}, b"", SecretsFile(None).of("/one")) == "none"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"/one": 7}', "Expected `str | array`, got `int`"),
        (b'{"/one": "\xff"}', "it is not UTF-8"),
        (json.dumps({"one": ONE}).encode(), "the path 'one' does not begin with /"),
        (b'{"/one": ["whsk_b25l"]}', "the secret of /one is not whsec_ and base64"),
        (b'{"/one": "whsec_"}', "the secret of /one is not whsec_ and base64"),
        (b'{"/one": "whsec_b"}', "the secret of /one is not whsec_ and base64"),
    ],
)
def test_unusable_file_is_refused_in_one_line(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UnusableSecretsError) as refused:
        SecretsFile(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert reason in message
    assert "\n" not in message
    assert "b25l" not in message
