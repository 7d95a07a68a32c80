"""The functions of docs/how-to/verify-signatures.md, each run by its own language, on what webhookd has signed.

Real: the text of the page; Node, Go, Java and OpenSSL, where they are installed. A driver in the same language calls
the function for each case and prints `true` or `false`.
"""

import base64
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from webhookd.flow.attempt.signature import Signer, SigningKind, new_secret, public_key
from webhookd.flow.destination import SigningSecret

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "verify-signatures.md"
SECTION = re.compile(r"^##+ ([^\n]+)\n(.*?)(?=^##+ |\Z)", flags=re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)

SECRET, OTHER = (new_secret(SigningKind.HMAC_SHA256, bytes([number]) * 40) for number in (1, 2))
SEED, OTHER_SEED = (new_secret(SigningKind.ED25519, bytes([number]) * 32) for number in (3, 4))
BODY = '{"messages":[{"value":{"city":"Malmö"}}]}'.encode()
PATIENCE_S = 300.0

GO_ENVIRONMENT = {"GOCACHE": str(ROOT / ".state" / "go-build"), "GOTOOLCHAIN": "local", "GOPROXY": "off"}
"""Go compiles its library once, for several seconds, and keeps it; it must not ask another host for anything."""

NODE = """
for (const line of require("node:fs").readFileSync(0, "utf8").trim().split("\\n")) {
  const [key, id, timestamp, signatures, body] = line.split(" ");
  const decoded = Buffer.from(signatures, "base64").toString();
  console.log(isFromWebhookd(key, id, timestamp, decoded, Buffer.from(body, "base64")));
}
"""
GO = """
package main

import (
	"bufio"
	"encoding/base64"
	"os"
	"strings"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word := strings.Split(lines.Text(), " ")
		signatures, _ := base64.StdEncoding.DecodeString(word[3])
		body, _ := base64.StdEncoding.DecodeString(word[4])
		println(isFromWebhookd(word[0], word[1], word[2], string(signatures), body))
	}
}
"""
JAVA = """
class Driver {
    public static void main(String[] arguments) throws Exception {
        for (String line : new String(System.in.readAllBytes()).trim().split("\\n")) {
            String[] word = line.split(" ");
            String signatures = new String(java.util.Base64.getDecoder().decode(word[3]));
            byte[] body = java.util.Base64.getDecoder().decode(word[4]);
            System.out.println(Signatures.isFromWebhookd(word[0], word[1], word[2], signatures, body));
        }
    }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request as it arrives, and whether the function has to accept it with the key."""

    accepted: bool
    key: str
    signatures: str
    at: int
    body: bytes = BODY

    @property
    def line(self) -> str:
        """The case for a driver: texts without spaces."""
        encoded = (base64.b64encode(part).decode() for part in (self.signatures.encode(), self.body))
        return " ".join([self.key, "msg_1", str(self.at), *encoded])

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request."""
        return {"webhook-id": "msg_1", "webhook-timestamp": str(self.at), "webhook-signature": self.signatures}


def snippet(section: str, language: str) -> str:
    """The code block of a section of the page."""
    sections: dict[str, str] = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
    blocks: dict[str, str] = dict(CODE.findall(sections[section]))
    return blocks[language]


def cases(key: str, secrets: Sequence[str]) -> list[Case]:
    """What a function has to accept and to refuse; `key` verifies the first secret, and not the second one."""
    now = int(time.time())

    def signed(*by: str, at: int = now) -> str:
        return Signer([SigningSecret(secret=secret) for secret in by]).signature(b"msg_1", at, BODY).decode()

    own, other = secrets
    good = Case(accepted=True, key=key, signatures=signed(own), at=now)
    return [
        good,
        replace(good, signatures=signed(other, own)),
        replace(good, signatures=signed(own, other)),
        replace(good, signatures=signed(own, at=now - 200), at=now - 200),
        replace(good, accepted=False, signatures=signed(other)),
        replace(good, accepted=False, body=BODY + b" "),
        replace(good, accepted=False, at=now - 1),
        replace(good, accepted=False, signatures=signed(own, at=now - 400), at=now - 400),
        replace(good, accepted=False, signatures=signed(own, at=now + 400), at=now + 400),
        replace(good, accepted=False, signatures="v1,"),
        replace(good, accepted=False, signatures=good.signatures.replace(",", "x,")),
    ]


def hmac_cases() -> list[Case]:
    mixed = cases(SECRET, [SECRET, OTHER])
    return [*mixed, *cases(SECRET, [SECRET, SEED])[:5]]


def ed25519_cases() -> list[Case]:
    return cases(str(public_key(SEED)), [SEED, OTHER_SEED])


def needs(program: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}: its snippets of verify-signatures.md are not run")
    return found


def run(command: Sequence[str], sent: str, folder: Path) -> str:
    """What a program prints."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **GO_ENVIRONMENT},
        input=sent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def answers(command: Sequence[str], given: Sequence[Case], folder: Path) -> list[bool]:
    """What the driver prints about the cases."""
    printed = run(command, "\n".join(case.line for case in given) + "\n", folder)
    return [line == "true" for line in printed.split()]


@pytest.mark.parametrize(("section", "given"), [("Python", hmac_cases()), ("Key pairs", ed25519_cases())])
def test_python(section: str, given: Sequence[Case]) -> None:
    names: dict[str, Any] = {}
    exec(snippet(section, "python"), names)  # noqa: S102 - the code of the page is what is tested
    accepts = names["is_from_webhookd"]
    assert [accepts(case.key, case.headers, case.body) for case in given] == [case.accepted for case in given]


@pytest.mark.parametrize(("section", "given"), [("Node", hmac_cases()), ("Key pairs", ed25519_cases())])
def test_node(section: str, given: Sequence[Case], tmp_path: Path) -> None:
    program = tmp_path / "verify.js"
    program.write_text(snippet(section, "js") + NODE, encoding="utf-8")
    assert answers([needs("node"), str(program)], given, tmp_path) == [case.accepted for case in given]


def test_go(tmp_path: Path) -> None:
    (tmp_path / "verify.go").write_text(snippet("Go", "go"), encoding="utf-8")
    (tmp_path / "main.go").write_text(GO, encoding="utf-8")
    given = hmac_cases()
    command = [needs("go"), "run", "-gcflags=all=-N -l", "verify.go", "main.go"]  # not optimised: half the time
    assert answers(command, given, tmp_path) == [case.accepted for case in given]


def test_java(tmp_path: Path) -> None:
    program = tmp_path / "Driver.java"
    imports, _, rest = snippet("Java", "java").partition("\n\n")
    program.write_text(f"{imports}\n{JAVA}\n{rest}", encoding="utf-8")
    given = hmac_cases()
    assert answers([needs("java"), str(program)], given, tmp_path) == [case.accepted for case in given]


def test_openssl(tmp_path: Path) -> None:
    needs("openssl")
    (tmp_path / "body.json").write_bytes(BODY)
    now = int(time.time())
    given = f"SECRET='{SECRET}' WEBHOOK_ID=msg_1 WEBHOOK_TIMESTAMP={now}\n"
    printed = run([needs("sh")], given + snippet("OpenSSL", "sh"), tmp_path)
    expected = Signer([SigningSecret(secret=SECRET)]).signature(b"msg_1", now, BODY).decode()
    assert f"v1,{printed.strip()}" == expected
