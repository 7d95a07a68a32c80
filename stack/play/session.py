"""One run of the play.

own         the folder of its state: a second play in the same checkout ends here, before it touches anything
ports       the usual ones, or free ones
services    Kafka, Redis and Postgres, installed when they are missing and the user may; empty
processes   a mail server, the endpoint (`webhookd receive`), the schema, and the processes of the Procfile
deliver     a topic, a subscription over the API, orders; the guide once the first one was delivered
end         Ctrl-C, SIGTERM, or a process that ends by itself: orders, processes, endpoint, mail server, services, data
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path

from stack import install, kafka_jars, stack_data
from stack.child import Child
from stack.dev_stack import DATABASE, environment_text, service_settings
from stack.errors import NotStarted
from stack.play import places, registration
from stack.play.guide import Guide
from stack.play.mail_receiver import Mailbox, shown
from stack.play.orders import Orders
from stack.play.places import Places
from stack.procfile import Service, processes
from stack.service_group import ServiceGroup
from stack.signals import Interrupted, raise_on_signals
from stack.single_owner import owned
from stack.terminal_output import Output

OWN_NAME = "play"
TICK_S = 0.1
ASK_TIMEOUT_S = 2.0

RUNS_ALREADY = "it runs already in another terminal (process {pid}); Ctrl-C there ends it"


def run(state: Path) -> int:
    """Play until a signal comes or a process ends by itself; returns the exit code."""
    raise_on_signals()
    output = Output([OWN_NAME, *processes(), "orders", "receiver", "mail"])
    try:
        with owned(state / "owner", RUNS_ALREADY), ExitStack() as exits:
            Play(state / "environment", output, exits).play()
    except Interrupted:
        pass
    except NotStarted as reason:
        output.say(OWN_NAME, str(reason))
        return 1
    return 0


class Play:
    """The parts of the play; `exits` stops them in the opposite order of their start."""

    def __init__(self, environment_file: Path, output: Output, exits: ExitStack) -> None:
        self._environment_file = environment_file
        self._output = output
        self._exits = exits
        self._guide: Guide | None = None

    def play(self) -> None:
        """Start everything, and play until Interrupted. Raises NotStarted."""
        where = places.choose(self._environment_file, os.environ, self._say)
        services = self._start_services()
        postbox = self._exits.enter_context(Mailbox(self._print_mail))
        environment = places.environment(where, services, postbox.port)
        receiver = self._start_receiver(where, environment)
        service = Service(environment, self._output, OWN_NAME)
        service.migrate()
        self._exits.callback(service.stop)
        self._exits.callback(self._say, "stopping webhookd")
        service.start()
        service.wait_ready()
        self._say(f"ready; the API is at {where.api_url}")
        orders = Orders(services["WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS"], lambda line: self._output.say("orders", line))
        orders.create_topic()
        guide = Guide(where, self._register(where))
        self._until(lambda: _acknowledged(where), orders, service, receiver)
        self._guide = guide
        self._say(guide.delivered())
        self._until(lambda: False, orders, service, receiver)

    def _start_services(self) -> dict[str, str]:
        install.require_all([*kafka_jars.programs(), install.REDIS_SERVER, install.INITDB])
        kafka_jars.jars(say=self._say)
        self._say("starting Kafka, Redis and Postgres, with empty data")
        self._exits.callback(self._say, "stopped, and all of its data is deleted")
        group = self._exits.enter_context(ServiceGroup())
        kafka, redis, postgres = group.start_kafka(), group.start_redis(), group.start_postgres()
        group.wait_ready()
        self._exits.callback(self._say_deleted, kafka.address, group.directory)
        addresses = {"kafka": kafka.address, "redis": redis.address, "database_url": postgres.create_database(DATABASE)}
        self._environment_file.write_text(environment_text(**addresses))
        self._exits.callback(self._environment_file.unlink, missing_ok=True)
        return service_settings(**addresses)

    def _start_receiver(self, where: Places, environment: dict[str, str]) -> Child:
        command = ["webhookd", "receive", "--port", str(where.receiver_port), "--full", "1"]
        receiver = self._output.attach("receiver", command, environment, blank_lines=True)
        self._exits.callback(receiver.stop)
        return receiver

    def _register(self, where: Places) -> str:
        """Register the subscription; returns its URL."""
        body = registration.document(where.endpoint_url)
        self._say(f"POST {where.api_url}{registration.PATH}\n{body}")
        url = f"{where.api_url}{registration.PATH}/{registration.register(where.api_url, body)}"
        with where.environment_file.open("a") as file:
            file.write(f"export SUBSCRIPTION={url}\n")
        return url

    def _until(self, holds: Callable[[], bool], orders: Orders, service: Service, receiver: Child) -> None:
        """Produce orders until it holds. Raises NotStarted when a process has ended by itself."""
        while not holds():
            service.check_alive()
            if receiver.exit_code is not None:
                raise NotStarted(f"receiver has ended with exit code {receiver.exit_code}, so the others are stopped")
            orders.produce_due(time.monotonic())
            time.sleep(TICK_S)

    def _print_mail(self, mail: EmailMessage) -> None:
        self._output.say("mail", shown(mail))
        next_step = self._guide.after(mail) if self._guide is not None else None
        if next_step is not None:
            self._say(next_step)

    def _say_deleted(self, bootstrap_servers: str, directory: Path) -> None:
        self._say(f"deleting {stack_data.described(bootstrap_servers, directory)}")

    def _say(self, text: str) -> None:
        self._output.say(OWN_NAME, text)


def _acknowledged(where: Places) -> bool:
    """Whether the endpoint has acknowledged a request."""
    try:
        with urllib.request.urlopen(where.receiver_url, timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310 - the scheme is ours
            return bool(json.load(answer)["acknowledged"])
    except OSError:  # it has not started to listen
        return False
