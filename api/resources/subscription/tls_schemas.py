"""The wire format of the TLS options of a destination."""

from typing import Any, Final

from api.description.keywords import accepts
from api.description.objects import CONDITIONAL, NEVER_NULL
from api.extensions.request_fields import Choice, Text
from api.extensions.request_schema import RequestSchema
from webhookd.flow.attempt.header import MASK

PEM_CHARACTERS: Final = 64 * 1024
"""Some 40 certificates; a row and every read of it has them."""


def _optional(description: str) -> dict[str, Any]:
    return {"description": description, CONDITIONAL: True, NEVER_NULL: True}


@accepts(dependentRequired={"client_certificate": ["client_key"], "client_key": ["client_certificate"]})
class TlsSchema(RequestSchema):
    """What differs from the installation's TLS. It needs an `https` URL."""

    ca_certificates = Text(
        expected="certificates in PEM format",
        least=1,
        most=PEM_CHARACTERS,
        load_default=None,
        metadata=_optional(
            "Certificates of authorities (PEM), which are trusted in addition to those of the installation."
        ),
    )
    client_certificate = Text(
        expected="a certificate in PEM format",
        least=1,
        most=PEM_CHARACTERS,
        load_default=None,
        metadata=_optional(
            "The certificate (PEM, its chain behind it) that the endpoint gets when it asks for one, in place of the "
            "installation's. It must not have expired."
        ),
    )
    client_key = Text(
        expected="a private key in PEM format",
        least=1,
        most=PEM_CHARACTERS,
        load_default=None,
        metadata=_optional(
            f"The private key of that certificate (PEM, unencrypted). Responses show `{MASK}`, which may be sent back "
            "and keeps the stored one."
        ),
    )
    verify = Choice(
        ["yes", "no"],
        load_default="yes",
        metadata={
            "description": "`no`: neither the endpoint's certificate nor its host name is verified, so that anyone "
            "on the way can read and answer the requests. Only where `WEBHOOKD_EGRESS_TLS_SKIP_VERIFY` allows it; the "
            "status shows it."
        },
    )
