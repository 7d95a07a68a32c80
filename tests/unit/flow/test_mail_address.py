"""Which texts are e-mail addresses, and which form a mail server gets."""

import pytest

from webhookd.errors import InvalidInput
from webhookd.flow.alerting.mail import MailResult, RecipientResult, remaining_recipients
from webhookd.flow.alerting.mail_address import parse_address


@pytest.mark.parametrize(
    ("text", "spec", "is_ascii"),
    [
        ("ops@example.com", "ops@example.com", True),
        ("Ops+alerts@Example.COM", "Ops+alerts@example.com", True),
        ("ops@bücher.example", "ops@xn--bcher-kva.example", True),
        ("ops@BÜCHER.example", "ops@xn--bcher-kva.example", True),
        ("ops@faß.example", "ops@xn--fa-hia.example", True),
        ("ops@日本語。jp", "ops@xn--wgv71a119e.jp", True),
        ("ops@xn--bcher-kva.example", "ops@xn--bcher-kva.example", True),
        ("jörg@example.com", "jörg@example.com", False),
        ("用户@例子.example", "用户@xn--fsqu00a.example", False),
        ('"a b"@example.com', '"a b"@example.com', True),
        ("root@localhost", "root@localhost", True),
        ("root@[127.0.0.1]", "root@[127.0.0.1]", True),
    ],
)
def test_domain_of_an_address_is_encoded_in_ascii(text: str, spec: str, is_ascii: bool) -> None:
    address = parse_address(text)
    assert (address.spec, address.is_ascii) == (spec, is_ascii)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ops",
        "ops@",
        "@example.com",
        "a b@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a@b@example.com",
        "<a@example.com>",
        "a,b@example.com",
        "a@example.com\nBcc: c@example.com",
        "a\r\nBcc: c@example.com",
        "a\ud83d@example.com",
        "a\u2028b@example.com",
        "ops@mailhost",
        "ops@127.0.0.1",
        "ops@[127.0.0.300]",
        "ops@-x.example",
        "ops@a_b.example",
        "ops@a..example",
        "ops@example.com.",
        "ops@xn--zzzzzz.example",
        "ops@💩.example",
        "ops@ex ample.com",
        f"{'x' * 65}@example.com",
        f"{'ö' * 33}@example.com",
        f"ops@{'x' * 64}.example",
        f"ops@{'.'.join(['x' * 50] * 5)}.example",
    ],
)
def test_unusable_address_is_rejected_with_a_reason(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^is not an e-mail address"):
        parse_address(text)


def test_next_try_begins_with_recipients_not_reached() -> None:
    results = [
        ("a", MailResult.LATER, True),
        ("b", MailResult.DELIVERED, True),
        ("c", MailResult.LATER, False),
        ("d", MailResult.REFUSED, True),
    ]
    assert remaining_recipients(
        RecipientResult(recipient=who, result=result, tried=tried) for who, result, tried in results
    ) == ("c", "a")
