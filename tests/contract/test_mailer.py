"""Mails, once for the server in memory and once over SMTP; then what only SMTP has.

Oracle: what arrived, as Python's own parser reads it. The SMTP server is the harness's, on real sockets and real TLS.
"""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from tests.harness.mail_server import MailServer
from webhookd.edges.mailer import Mailer, build_mailer
from webhookd.errors import MailRefused, MailUnavailable, UnusableSetting
from webhookd.flow.mail import Mail
from webhookd.settings import Settings
from webhookd.testing.memory_mailer import MemoryMailer

STEP_S = 2.0
MAIL = Mail(
    token="0123456789abcdef",
    recipients=("a@example.com", "b@example.com"),
    subject="[webhookd] bücher → shop is failing",
    body="It fails.\n\n.\nA line with ümlauts.\n",
    created_at=1_700_000_000.0,
)


class Sends(Protocol):
    def send(self, mail: Mail) -> tuple[str, ...]: ...

    def ping(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A mailer, and the server behind it as a test sees and sets it."""

    mailer: Sends
    arrived: Callable[[], list[tuple[tuple[str, ...], str, str]]]
    refuse: Callable[[str], None]
    keep_busy: Callable[[str], None]
    leave: Callable[[], None]


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
def post(request: pytest.FixtureRequest) -> Iterator[Post]:
    if request.param == "memory":
        memory = MemoryMailer()
        yield Post(
            mailer=memory,
            arrived=lambda: [(mail.recipients, mail.subject, mail.body) for mail in memory.sent],
            refuse=memory.refused.add,
            keep_busy=memory.busy.add,
            leave=lambda: setattr(memory, "away", True),
        )
        return
    with MailServer() as server:
        yield Post(
            mailer=mailer(server, smtp_security="none"),
            arrived=lambda: [(mail.recipients, str(mail.message["Subject"]), mail.text) for mail in server.received],
            refuse=lambda address: server.answers.update({f"RCPT {address}": "550 nobody of that name"}),
            keep_busy=lambda address: server.answers.update({f"RCPT {address}": "451 try again"}),
            leave=server.stop,
        )


def mailer(server: MailServer, **settings: object) -> Mailer:
    values = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "mail_from": "webhookd@example.com", **settings}
    return Mailer(Settings.model_validate(values), step_s=STEP_S)


def test_mail_arrives_as_it_was_written(post: Post) -> None:
    assert post.mailer.send(MAIL) == ()
    assert post.arrived() == [(MAIL.recipients, MAIL.subject, MAIL.body)]


def test_recipient_refused_for_good_keeps_it_from_nobody_else(post: Post) -> None:
    post.refuse("a@example.com")
    assert post.mailer.send(MAIL) == ()
    assert [recipients for recipients, _, _ in post.arrived()] == [("b@example.com",)]


def test_recipient_that_may_be_taken_later_is_named(post: Post) -> None:
    post.keep_busy("b@example.com")
    assert post.mailer.send(MAIL) == ("b@example.com",)
    assert [recipients for recipients, _, _ in post.arrived()] == [("a@example.com",)]


def test_only_who_may_be_taken_later_is_tried_again(post: Post) -> None:
    post.refuse("a@example.com")
    post.keep_busy("b@example.com")
    assert (post.mailer.send(MAIL), post.arrived()) == (("b@example.com",), [])


def test_mail_refused_by_all_is_refused(post: Post) -> None:
    post.refuse("a@example.com")
    post.refuse("b@example.com")
    with pytest.raises(MailRefused):
        post.mailer.send(MAIL)


def test_mail_that_all_may_take_later_is_unavailable(post: Post) -> None:
    post.keep_busy("a@example.com")
    post.keep_busy("b@example.com")
    with pytest.raises(MailUnavailable):
        post.mailer.send(MAIL)
    assert post.arrived() == []


@pytest.mark.parametrize(
    "mail",
    [
        replace(MAIL, subject="failing\r\nBcc: c@example.com"),
        replace(MAIL, recipients=("a@example.com\nBcc: c@example.com",)),
    ],
)
def test_line_breaks_make_no_header(post: Post, mail: Mail) -> None:
    with pytest.raises(MailRefused):
        post.mailer.send(mail)
    assert post.arrived() == []


def test_server_that_is_away_is_unavailable(post: Post) -> None:
    post.mailer.ping()
    post.leave()
    with pytest.raises(MailUnavailable):
        post.mailer.ping()
    with pytest.raises(MailUnavailable):
        post.mailer.send(MAIL)


def test_repeated_mail_has_the_same_message_id() -> None:
    with MailServer() as server:
        for _ in range(2):
            mailer(server, smtp_security="none").send(MAIL)
        ids = [str(mail.message["Message-ID"]) for mail in server.received]
    assert ids == ["<0123456789abcdef@example.com>"] * 2


def test_starttls_and_login_come_before_the_mail(context: ssl.SSLContext, ca_file: Path) -> None:
    with MailServer(context=context, login=("webhookd", "s3cret")) as server:
        mailer(server, smtp_ca_file=ca_file, smtp_user="webhookd", smtp_password="s3cret").send(MAIL)
        assert [(mail.over_tls, mail.user) for mail in server.received] == [(True, "webhookd")]


def test_tls_from_the_first_byte(context: ssl.SSLContext, ca_file: Path) -> None:
    with MailServer(context=context, implicit_tls=True) as server:
        mailer(server, smtp_security="tls", smtp_ca_file=ca_file).send(MAIL)
        assert [mail.over_tls for mail in server.received] == [True]


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


def test_wrong_password_may_be_put_right(context: ssl.SSLContext, ca_file: Path) -> None:
    with (
        MailServer(context=context, login=("webhookd", "s3cret")) as server,
        pytest.raises(MailUnavailable, match="535"),
    ):
        mailer(server, smtp_ca_file=ca_file, smtp_user="webhookd", smtp_password="wrong").ping()


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        ("TEXT", "554 spam", MailRefused),
        ("TEXT", "452 full", MailUnavailable),
        ("DATA", "421 closing", MailUnavailable),
        ("MAIL", "553 not from you", MailUnavailable),
        ("EHLO", "502 what?", MailUnavailable),
    ],
)
def test_answers_are_told_apart(verb: str, answer: str, error: type[Exception]) -> None:
    with MailServer() as server:
        server.answers[verb] = answer
        with pytest.raises(error):
            mailer(server, smtp_security="none", smtp_user="u" if verb == "EHLO" else "").send(MAIL)
        assert server.received == []


def test_goodbye_that_fails_takes_nothing_back() -> None:
    with MailServer() as server:
        server.answers["QUIT"] = "500 no"
        assert mailer(server, smtp_security="none").send(MAIL) == ()


def test_without_a_mail_server_every_mail_is_refused() -> None:
    nowhere = build_mailer(Settings())
    nowhere.ping()
    with pytest.raises(MailRefused):
        nowhere.send(MAIL)


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"mail_from": ""}, "mail_from"),
        ({"mail_from": "nobody at home"}, "mail_from"),
        ({"mail_from": "a@b.example", "smtp_ca_file": "/no/such/file"}, "smtp_ca_file"),
    ],
)
def test_unusable_setting_is_named(values: dict[str, str], setting: str) -> None:
    with pytest.raises(UnusableSetting) as raised:
        build_mailer(Settings.model_validate({"smtp_host": "127.0.0.1", **values}))
    assert raised.value.setting == setting
