"""An e-mail address in the form that a mail server gets: `local@domain`, the domain in ASCII (IDNA 2008, `xn--…`).

the part before the @      words with dots between them, or a quoted string (RFC 5322, 3.4.1); characters beyond
                           ASCII need a mail server that offers SMTPUTF8 (RFC 6531)
the domain                 a host name with a dot, `localhost`, or an IPv4 address in brackets
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

import idna

from webhookd.errors import InvalidInput

LOCAL_BYTES = 64
DOMAIN_BYTES = 253
ADDRESS_BYTES = 254
"""RFC 5321, 4.5.3.1: every mail server must accept this length, and many accept no more."""

_WORD = r"[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff\"(),:;<>@\[\\\].]+"
_DOTTED = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_QUOTED = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"')
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?![0-9]+\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailAddress:
    """A valid address; `domain` is ASCII."""

    local: str
    domain: str

    @property
    def spec(self) -> str:
        """`local@domain`."""
        return f"{self.local}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        """Whether a mail server without SMTPUTF8 accepts it too."""
        return self.local.isascii()


def parse_address(text: str) -> MailAddress:
    """Return the address. Raises InvalidInput with the reason when no mail can ever be sent to it."""
    local, at, domain = text.rpartition("@")
    if not at:
        raise InvalidInput("is not an e-mail address: it has no @")
    if not (_DOTTED.fullmatch(local) or _QUOTED.fullmatch(local)):
        raise InvalidInput("is not an e-mail address: the part before the @ cannot be used")
    if len(local.encode()) > LOCAL_BYTES:
        raise InvalidInput(f"is not an e-mail address: the part before the @ is longer than {LOCAL_BYTES} bytes")
    address = MailAddress(local=local, domain=_ascii_domain(domain))
    if len(address.spec.encode()) > ADDRESS_BYTES:
        raise InvalidInput(f"is not an e-mail address: it is longer than {ADDRESS_BYTES} bytes")
    return address


def _ascii_domain(domain: str) -> str:
    if domain.startswith("[") and domain.endswith("]"):
        return f"[{_literal(domain[1:-1])}]"
    if domain.lower() == "localhost":
        return "localhost"
    try:
        encoded = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidInput(f"is not an e-mail address: the domain cannot be used: {error}") from error
    if len(encoded) > DOMAIN_BYTES or not _HOST.fullmatch(encoded):
        raise InvalidInput("is not an e-mail address: the domain is not a host name with a dot")
    return encoded


def _literal(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise InvalidInput("is not an e-mail address: the domain is not an address in brackets") from error
