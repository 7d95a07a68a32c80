"""What the play tells its reader to try, when it is time for it."""

from email.message import EmailMessage

from stack.play.orders import TOPIC
from stack.play.places import LONGEST_WAIT_S, Places

STATUS_TOOL = "python3 -m json.tool"


class Guide:
    """The lines with the addresses of this play."""

    def __init__(self, places: Places, subscription_url: str) -> None:
        self._places = places
        self._id = subscription_url.rpartition("/")[2]
        self._status = f"curl -sS {subscription_url}/Status | {STATUS_TOOL}"

    def delivered(self) -> str:
        """After the first delivery."""
        return f"""\
The first order of 100 and more was delivered. Try this in another terminal:
  status of the subscription   {self._status}
  workers and tasks            http://127.0.0.1:{self._places.flower_port} (Flower)
  all orders                   . {self._places.environment_file}; webhookd topic tail {TOPIC}
  make the endpoint fail       curl -sS -X PUT '{self._places.receiver_url}?status=500'
Then the status says "failing", and a mail comes after about 8 s. Ctrl-C ends all and deletes its data.
The waits between attempts are a twentieth of the usual ones."""

    def after(self, mail: EmailMessage) -> str | None:
        """After a mail; None when it is about another subscription, or says neither that one fails nor its end."""
        subject = str(mail["Subject"])
        if self._id not in str(mail.get_content()):
            return None
        if " is failing " in subject:
            return self.failed()
        return self.recovered() if subject.endswith(" has recovered") else None

    def failed(self) -> str:
        """After the mail that says that it fails."""
        return f"""\
No attempt is left, so the mail was sent. One request is tried now and then; the orders wait in Kafka.
  "state": "circuit_open"      {self._status}
  mend the endpoint            curl -sS -X PUT '{self._places.receiver_url}?status=200'
Mended, it gets the waiting orders with the next attempt: the longer it has failed, the later, up to
about {LONGEST_WAIT_S} s. The status says when: "next_attempt_at"."""

    def recovered(self) -> str:
        """After the mail that says that it has recovered."""
        return f"""\
What waited is delivered, in order. A failure in the next ten minutes is not mailed at once.
Next steps:
  register, filter, batch      docs/how-to/register.md, docs/how-to/filter.md, {self._places.api_url}/openapi.json
  your own Kafka               docs/get-started/your-kafka.md
  run it as a service          docs/how-to/deploy.md"""
