"""Contract of the mailer, for the fake in memory and over SMTP; then what only SMTP has.

Oracle: the mails that arrived, as Python's own parser reads them. The SMTP server is the harness's, with real sockets
and real TLS.
"""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from tests.harness.mail_server import HANG, MailServer
from webhookd.edges.mailer import Mailer, build_mailer
from webhookd.errors import MailUnavailable, UnusableSetting
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult, remaining_recipients
from webhookd.settings import Settings
from webhookd.testing.memory_mailer import MemoryMailer

STEP_S = 2.0
DELIVERED, LATER, REFUSED = MailResult.DELIVERED, MailResult.LATER, MailResult.REFUSED
MAIL = Mail(
    token="0123456789abcdef",
    recipients=("a@example.com", "b@example.com"),
    subject="[webhookd] bücher → shop is failing",
    body="It fails.\n\n.\nA line with ümlauts.\n",
    created_at=1_700_000_000.0,
)


class MailSender(Protocol):
    def send(self, mail: Mail) -> tuple[RecipientResult, ...]: ...

    def ping(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSetting:
    """A mailer, and its server as a test controls it."""

    mailer: MailSender
    arrived: Callable[[], list[tuple[tuple[str, ...], str, str]]]
    refuse: Callable[[str], None]
    defer: Callable[[str], None]
    take_ascii_only: Callable[[], None]
    shut_down: Callable[[], None]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    return made


@pytest.fixture(params=["memory", "smtp"])
def post(request: pytest.FixtureRequest) -> Iterator[MailSetting]:
    if request.param == "memory":
        memory = MemoryMailer()
        yield MailSetting(
            mailer=memory,
            arrived=lambda: [(mail.recipients, mail.subject, mail.body) for mail in memory.sent],
            refuse=memory.refused.add,
            defer=memory.deferred.add,
            take_ascii_only=lambda: setattr(memory, "smtputf8", False),
            shut_down=lambda: setattr(memory, "down", True),
        )
        return
    with MailServer() as server:
        yield MailSetting(
            mailer=mailer(server, smtp_security="none"),
            arrived=lambda: [(mail.recipients, str(mail.message["Subject"]), mail.text) for mail in server.received],
            refuse=lambda address: server.answers.update({f"RCPT {address}": "550 no such user"}),
            defer=lambda address: server.answers.update({f"RCPT {address}": "451 try again"}),
            take_ascii_only=lambda: setattr(server, "smtputf8", False),
            shut_down=server.stop,
        )


def mailer(server: MailServer, *, step_s: float = STEP_S, **settings: object) -> Mailer:
    values = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "mail_from": "webhookd@example.com", **settings}
    return Mailer(Settings.model_validate(values), step_s=step_s)


def by_recipient(results: tuple[RecipientResult, ...]) -> dict[str, MailResult]:
    return {item.recipient: item.result for item in results}


def recipients(post: MailSetting) -> list[str]:
    return [recipient for whom, _, _ in post.arrived() for recipient in whom]


def test_mail_arrives_as_it_was_written_at_each_recipient(post: MailSetting) -> None:
    assert by_recipient(post.mailer.send(MAIL)) == {"a@example.com": DELIVERED, "b@example.com": DELIVERED}
    assert post.arrived() == [((recipient,), MAIL.subject, MAIL.body) for recipient in MAIL.recipients]


def test_refused_recipient_does_not_affect_the_others(post: MailSetting) -> None:
    post.refuse("a@example.com")
    results = post.mailer.send(MAIL)
    assert by_recipient(results) == {"a@example.com": REFUSED, "b@example.com": DELIVERED}
    assert results[0].detail.startswith("550")
    assert recipients(post) == ["b@example.com"]


def test_only_deferred_recipients_are_left_over(post: MailSetting) -> None:
    post.refuse("a@example.com")
    post.defer("b@example.com")
    results = post.mailer.send(replace(MAIL, recipients=(*MAIL.recipients, "c@example.com")))
    assert by_recipient(results) == {"a@example.com": REFUSED, "b@example.com": LATER, "c@example.com": DELIVERED}
    assert remaining_recipients(results) == ("b@example.com",)
    assert recipients(post) == ["c@example.com"]


@pytest.mark.parametrize("bad", ["nobody at home", "a@💩.example", "a@b", "a@example.com\nBcc: c@example.com", "", "@"])
def test_invalid_address_is_refused_alone(post: MailSetting, bad: str) -> None:
    results = post.mailer.send(replace(MAIL, recipients=(bad, "b@example.com")))
    assert by_recipient(results) == {bad: REFUSED, "b@example.com": DELIVERED}
    assert recipients(post) == ["b@example.com"]


def test_mail_without_a_valid_address_is_refused(post: MailSetting) -> None:
    assert by_recipient(post.mailer.send(replace(MAIL, recipients=("nobody",)))) == {"nobody": REFUSED}


def test_non_ascii_local_part_is_delivered_where_smtputf8_is_offered(post: MailSetting) -> None:
    mail = replace(MAIL, recipients=("jörg@example.com", "b@example.com"))
    assert by_recipient(post.mailer.send(mail)) == {"jörg@example.com": DELIVERED, "b@example.com": DELIVERED}
    assert recipients(post) == ["jörg@example.com", "b@example.com"]
    assert [(subject, body) for _, subject, body in post.arrived()] == [(MAIL.subject, MAIL.body)] * 2


def test_non_ascii_local_part_is_refused_alone_where_it_is_not(post: MailSetting) -> None:
    post.take_ascii_only()
    results = post.mailer.send(replace(MAIL, recipients=("jörg@example.com", "b@example.com")))
    assert by_recipient(results) == {"jörg@example.com": REFUSED, "b@example.com": DELIVERED}
    assert recipients(post) == ["b@example.com"]


def test_subject_with_line_breaks_makes_no_header(post: MailSetting) -> None:
    results = post.mailer.send(replace(MAIL, subject="failing\r\nBcc: c@example.com"))
    assert set(by_recipient(results).values()) == {REFUSED}
    assert post.arrived() == []


def test_unreachable_server_is_unavailable(post: MailSetting) -> None:
    post.mailer.ping()
    post.shut_down()
    with pytest.raises(MailUnavailable):
        post.mailer.ping()
    with pytest.raises(MailUnavailable):
        post.mailer.send(MAIL)


def test_repeated_mail_has_the_same_message_id() -> None:
    with MailServer() as server:
        for _ in range(2):
            mailer(server, smtp_security="none").send(MAIL)
        ids = [str(mail.message["Message-ID"]) for mail in server.received]
    assert ids == ["<0123456789abcdef@example.com>"] * 4


def test_starttls_and_login_come_before_the_mail(context: ssl.SSLContext, ca_file: Path) -> None:
    with MailServer(context=context, login=("webhookd", "s3cret")) as server:
        mailer(server, smtp_ca_file=ca_file, smtp_user="webhookd", smtp_password="s3cret").send(MAIL)
        assert [(mail.over_tls, mail.user) for mail in server.received] == [(True, "webhookd")] * 2


def test_tls_from_the_first_byte(context: ssl.SSLContext, ca_file: Path) -> None:
    with MailServer(context=context, implicit_tls=True) as server:
        mailer(server, smtp_security="tls", smtp_ca_file=ca_file).send(MAIL)
        assert [mail.over_tls for mail in server.received] == [True] * 2


def test_server_without_starttls_gets_no_mail() -> None:
    with MailServer() as server:
        with pytest.raises(MailUnavailable, match="STARTTLS"):
            mailer(server).send(MAIL)
        assert server.received == []


def test_certificate_of_a_stranger_is_not_trusted(context: ssl.SSLContext) -> None:
    with MailServer(context=context) as server:
        with pytest.raises(MailUnavailable, match="certificate"):
            mailer(server).send(MAIL)
        assert server.received == []


def test_wrong_password_is_unavailable(context: ssl.SSLContext, ca_file: Path) -> None:
    with (
        MailServer(context=context, login=("webhookd", "s3cret")) as server,
        pytest.raises(MailUnavailable, match="535"),
    ):
        mailer(server, smtp_ca_file=ca_file, smtp_user="webhookd", smtp_password="wrong").ping()


@pytest.mark.parametrize(
    ("verb", "answer", "expected"),
    [
        ("TEXT", "554 spam", [(REFUSED, True), (REFUSED, True)]),
        ("TEXT", "452 full", [(LATER, True), (LATER, True)]),
        ("DATA", "503 out of order", [(REFUSED, True), (REFUSED, True)]),
        ("RCPT a@example.com", "421 closing", [(LATER, True), (LATER, True)]),
    ],
)
def test_replies_are_distinguished(verb: str, answer: str, expected: list[tuple[MailResult, bool]]) -> None:
    with MailServer() as server:
        server.answers[verb] = answer
        results = mailer(server, smtp_security="none").send(MAIL)
        assert [(item.result, item.tried) for item in results] == expected
        assert all(item.detail for item in results)
        assert server.received == []


@pytest.mark.parametrize(("verb", "answer"), [("MAIL", "553 not from you"), ("EHLO", "502 what?")])
def test_server_that_refuses_the_sender_is_unavailable(verb: str, answer: str) -> None:
    with MailServer() as server:
        server.answers[verb] = answer
        with pytest.raises(MailUnavailable):
            mailer(server, smtp_security="none", smtp_user="u" if verb == "EHLO" else "").send(MAIL)
        assert server.received == []


def test_recipient_at_which_the_server_hangs_is_tried_last() -> None:
    with MailServer() as server:
        server.answers["RCPT a@example.com"] = HANG
        quick = mailer(server, smtp_security="none", step_s=0.3)
        results = quick.send(MAIL)
        assert [(item.result, item.tried) for item in results] == [(LATER, True), (LATER, False)]
        left = remaining_recipients(results)
        assert left == ("b@example.com", "a@example.com")
        assert by_recipient(quick.send(replace(MAIL, recipients=left)))["b@example.com"] is DELIVERED


def test_domain_goes_to_the_server_as_ascii() -> None:
    with MailServer() as server:
        mailer(server, smtp_security="none").send(replace(MAIL, recipients=("ops@bücher.example",)))
        assert server.received[0].recipients == ("ops@xn--bcher-kva.example",)
        assert server.received[0].message["To"] == "ops@xn--bcher-kva.example"


def test_failed_quit_does_not_undo_delivery() -> None:
    with MailServer() as server:
        server.answers["QUIT"] = "500 no"
        assert set(by_recipient(mailer(server, smtp_security="none").send(MAIL)).values()) == {DELIVERED}


def test_without_a_mail_server_each_recipient_is_refused() -> None:
    nowhere = build_mailer(Settings())
    nowhere.ping()
    assert [(item.result, item.detail) for item in nowhere.send(MAIL)] == [
        (REFUSED, "WEBHOOKD_SMTP_HOST is not set")
    ] * 2


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"mail_from": ""}, "mail_from"),
        ({"mail_from": "nobody at home"}, "mail_from"),
        ({"mail_from": "jörg@example.com"}, "mail_from"),
        ({"mail_from": "a@b.example", "operator_emails": ("ops@example.com", "nobody")}, "operator_emails"),
        ({"smtp_host": "", "operator_emails": ("nobody",)}, "operator_emails"),
        ({"mail_from": "a@b.example", "smtp_ca_file": "/no/such/file"}, "smtp_ca_file"),
    ],
)
def test_unusable_setting_is_named(values: dict[str, str], setting: str) -> None:
    with pytest.raises(UnusableSetting) as raised:
        build_mailer(Settings.model_validate({"smtp_host": "127.0.0.1", **values}))
    assert raised.value.setting == setting
