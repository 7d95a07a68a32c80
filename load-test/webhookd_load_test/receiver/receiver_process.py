"""One process of the receiver, started by ReceiverProcesses.

    python -m webhookd_load_test.receiver.receiver_process SETTINGS

SETTINGS is the JSON of ProcessSettings. SIGTERM ends it with exit code 0 when everything is in SQLite; a second one
changes nothing, as it comes when both the process that has started it and the kernel want its end. It ends with 1 and a
line on standard error when it cannot keep what it gets.
"""

import os
import signal
import sys
from pathlib import Path

import msgspec

from stack.signals import SIGNALS
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd_load_test.receiver.fault_choice import FaultChoice
from webhookd_load_test.receiver.process_settings import ProcessSettings, ProcessState, write_state
from webhookd_load_test.receiver.received_file import NotKeptError, ReceivedFile
from webhookd_load_test.receiver.received_writer import RESERVE_BYTES, ReceivedWriter
from webhookd_load_test.receiver.reception import Reception
from webhookd_load_test.receiver.secrets_file import SecretsFile, UnusableSecretsError

COUNTS_PATH = "/counts"
"""GET shows the counts."""

BEGIN_PATH = "/begin"
"""PUT takes the moment from which the times of the faults count: nanoseconds since the epoch, in digits."""


def main() -> None:
    """Receive until a signal, or until what arrives cannot be kept."""
    settings = msgspec.json.decode(sys.argv[1], type=ProcessSettings)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # in all threads; `_serve` waits for them
    try:
        _receive(settings)
    except OSError as error:
        sys.exit(f"cannot listen on 127.0.0.1:{settings.port}: {error.strerror}")
    except (NotKeptError, UnusableSecretsError) as error:
        sys.exit(str(error))


def _receive(settings: ProcessSettings) -> None:
    secrets = SecretsFile(Path(settings.secrets_file) if settings.secrets_file else None)
    file = ReceivedFile(Path(settings.received_file), keep_values=settings.keep_values, reserve_bytes=RESERVE_BYTES)
    writer = ReceivedWriter(file, failed=_end)
    try:
        reception = Reception(keep=writer.keep, faults=FaultChoice(settings.faults, settings.seed), secrets=secrets)
        control_port = _serve(settings, reception, writer)
    finally:
        writer.close()
    write_state(Path(settings.state_file), ProcessState(control_port=control_port, ended=reception.counts))


def _serve(settings: ProcessSettings, reception: Reception, writer: ReceivedWriter) -> int:
    """Answer requests until a signal, or until the writer has failed; returns the port of the control."""
    control = HttpEndpoint(Control(reception, writer).handle)
    with control, HttpEndpoint(reception.handle, port=settings.port, reuse_port=True):
        write_state(Path(settings.state_file), ProcessState(control_port=control.port))
        signal.sigwait(SIGNALS)
    return control.port


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Control:
    """Answers what is asked of this process alone."""

    def __init__(self, reception: Reception, writer: ReceivedWriter) -> None:
        self._reception = reception
        self._writer = writer

    def handle(self, request: ReceivedRequest) -> Answer:
        """Show the counts, or take the moment of the begin."""
        if (request.method, request.path) == ("GET", COUNTS_PATH):
            counts = msgspec.structs.replace(self._reception.counts, waiting=self._writer.waiting)
            return Answer(headers={"Content-Type": "application/json"}, body=msgspec.json.encode(counts))
        if (request.method, request.path) == ("PUT", BEGIN_PATH) and request.body.isdigit():
            self._reception.begin(int(request.body))
            return Answer(status=204)
        return Answer(status=404)


if __name__ == "__main__":
    main()
