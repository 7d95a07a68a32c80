"""The parts of `make play` that need no service: ports, orders, guide, mailbox.

Oracles: the sockets of this process, smtplib's own client. Nothing is doubled. The whole play is seen in
tests/acceptance/test_readme_blocks.py, which types README.md.
"""

import json
import smtplib
import socket
import threading
import uuid
from email.message import EmailMessage
from pathlib import Path

import pytest

from api.resources.subscription.schemas import SubscriptionSchema
from stack.errors import NotStarted
from stack.free_ports import free_ports
from stack.play import places, registration
from stack.play.guide import Guide
from stack.play.mail_receiver import Mailbox, shown
from stack.play.orders import TOTALS, order
from stack.play.places import Places
from webhookd.flow.attempt import retry

FILE = Path(".state/play/environment")
WHERE = Places(api_bind="127.0.0.1:1", flower_port=2, receiver_port=3, environment_file=FILE)
OWN = "01928374-0000-7000-8000-000000000001"


def given_ports() -> dict[str, str]:
    api, flower, receiver = free_ports(3)
    return {"WEBHOOKD_API_BIND": f"127.0.0.1:{api}", "FLOWER_PORT": str(flower), "RECEIVER_PORT": str(receiver)}


def test_ports_are_those_that_the_environment_names() -> None:
    given = given_ports()
    chosen = places.choose(FILE, given, pytest.fail)
    assert chosen.api_bind == given["WEBHOOKD_API_BIND"]
    assert (str(chosen.flower_port), str(chosen.receiver_port)) == (given["FLOWER_PORT"], given["RECEIVER_PORT"])


def test_usual_port_that_is_taken_gives_way_to_a_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]
        monkeypatch.setattr(places, "RECEIVER_PORT", usual)
        given = given_ports()
        del given["RECEIVER_PORT"]
        said: list[str] = []
        chosen = places.choose(FILE, given, said.append)
    assert said == [f"port {usual} is taken, so the endpoint gets {chosen.receiver_port}"]


@pytest.mark.parametrize("name", ["WEBHOOKD_API_BIND", "FLOWER_PORT", "RECEIVER_PORT"])
@pytest.mark.parametrize("text", ["", "none", "70000"])
def test_named_port_must_be_one(name: str, text: str) -> None:
    with pytest.raises(NotStarted, match=f"^{name} names no port: "):
        places.choose(FILE, {**given_ports(), name: text}, pytest.fail)


def test_named_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(NotStarted, match=f"^port {port} is taken: choose another RECEIVER_PORT"):
            places.choose(FILE, {**given_ports(), "RECEIVER_PORT": port}, pytest.fail)


def test_play_replaces_addresses_and_keeps_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_REDIS_URL", "redis://elsewhere")
    monkeypatch.setenv("WEBHOOKD_LOG_LEVEL", "info")
    found = places.environment(WHERE, {"WEBHOOKD_REDIS_URL": "redis://here"}, 25)
    assert (found["WEBHOOKD_REDIS_URL"], found["WEBHOOKD_LOG_LEVEL"]) == ("redis://here", "info")
    assert (found["WEBHOOKD_SMTP_PORT"], found["FLOWER_PORT"]) == ("25", "2")


def test_first_order_passes_the_filter_and_others_do_not() -> None:
    assert [order(number)["total"] for number in (1, 2, 1 + len(TOTALS))] == [250, 20, 250]
    assert order(1) == {"order": 1, "customer": "customer-2", "total": 250}


def test_api_accepts_the_subscription() -> None:
    assert SubscriptionSchema().validate(json.loads(registration.document(WHERE.endpoint_url))) == {}


def test_guide_names_the_places_of_this_play() -> None:
    guide = Guide(WHERE, "http://127.0.0.1:1/1/Subscription/7")
    assert "curl -sS http://127.0.0.1:1/1/Subscription/7/Status | " in guide.delivered()
    assert "http://127.0.0.1:2 (Flower)" in guide.delivered()
    assert "curl -sS -X PUT 'http://127.0.0.1:3/receiver?status=500'" in guide.delivered()
    assert "curl -sS -X PUT 'http://127.0.0.1:3/receiver?status=200'" in guide.failed()


def test_guide_answers_only_the_mails_about_its_own_subscription() -> None:
    guide = Guide(WHERE, f"http://127.0.0.1:1/1/Subscription/{OWN}")
    failing, recovered = "[webhookd] large orders is failing (http_500)", "[webhookd] large orders has recovered"
    assert guide.after(mail_about(OWN, failing)) == guide.failed()
    assert guide.after(mail_about(OWN, recovered)) == guide.recovered()
    assert guide.after(mail_about(OWN, "[webhookd] large orders is still failing (http_500)")) is None
    assert [guide.after(mail_about(str(uuid.uuid4()), subject)) for subject in (failing, recovered)] == [None, None]


def test_guide_says_how_long_the_waiting_orders_wait_at_most() -> None:
    assert retry.LONGEST_WAIT_S * float(places.TIME_SCALE) == places.LONGEST_WAIT_S
    assert f"up to\nabout {places.LONGEST_WAIT_S} s." in Guide(WHERE, "http://127.0.0.1:1/1/Subscription/7").failed()


def mail_about(subscription_id: str, subject: str) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = subject
    mail.set_content(
        f"Deliveries of this subscription fail.\n\n  subscription:   large orders\n  id: {subscription_id}\n"
    )
    return mail


def test_sentences_of_the_guide_fit_the_picture() -> None:
    guide = Guide(WHERE, "http://127.0.0.1:1/1/Subscription/7")
    lines = [line for text in (guide.delivered(), guide.failed(), guide.recovered()) for line in text.splitlines()]
    assert [line for line in lines if len(line) > 103 and not line.startswith("  ")] == []


def test_mailbox_shows_a_mail() -> None:
    received: list[EmailMessage] = []
    arrived = threading.Event()

    def keep(mail: EmailMessage) -> None:
        received.append(mail)
        arrived.set()

    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "webhookd@example.com", "you@example.com", "Übung is failing"
    mail.set_content(f"first\n.\n  {'word ' * 30}\nlast\n")
    with Mailbox(keep) as mailbox, smtplib.SMTP("127.0.0.1", mailbox.port, timeout=30) as client:
        client.send_message(mail)
        assert arrived.wait(30)
    lines = shown(received[0]).splitlines()
    assert lines[:6] == [
        "From: webhookd@example.com",
        "To: you@example.com",
        "Subject: Übung is failing",
        "",
        "first",
        ".",
    ]
    assert lines[-1] == "last"
    assert [line.startswith("  word") and len(line) <= 100 for line in lines[6:-1]] == [True, True]
