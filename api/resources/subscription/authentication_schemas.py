"""The wire format of a destination's authentication: HTTP Basic, or access tokens of OAuth 2.0."""

from collections.abc import Callable
from typing import Any, Final

from marshmallow import ValidationError, validates_schema

from api.description import patterns
from api.description.keywords import accepts
from api.description.objects import CONDITIONAL, NEVER_NULL
from api.extensions.request_fields import Choice, Text, listed
from api.extensions.request_schema import RequestSchema
from api.resources.subscription import validators
from webhookd.errors import InvalidInput
from webhookd.flow.attempt import authentication
from webhookd.flow.destination import Basic, ClientAuthentication, ClientCredentials

BASIC: Final = "basic"
OAUTH2: Final = "oauth2_client_credentials"

REQUIRED: Final = {BASIC: ("username", "password"), OAUTH2: ("token_url", "client_id", "client_secret")}
ALLOWED: Final = {BASIC: Basic.__struct_fields__, OAUTH2: ClientCredentials.__struct_fields__}
"""The fields of each kind, besides `kind`."""

MASKED: Final = "Responses show `****`, which may be sent back and keeps the stored one."


def _shape(kind: str) -> dict[str, Any]:
    """The objects of this kind, in the words of JSON Schema."""
    others = [name for other, names in ALLOWED.items() if other != kind for name in names]
    return {
        "properties": {
            "kind": {"const": kind},
            **{name: {"type": "string"} for name in REQUIRED[kind]},
            **{name: {"type": "null"} for name in others},
        },
        "required": ["kind", *REQUIRED[kind]],
    }


def _check(check: Callable[[str], None], value: str) -> None:
    try:
        check(value)
    except InvalidInput as error:
        raise ValidationError(str(error)) from error


@accepts(pattern=patterns.USERNAME)
def username(value: str) -> None:
    """Raise ValidationError unless HTTP Basic can carry the name."""
    _check(authentication.check_username, value)


@accepts(pattern=patterns.PASSWORD)
def password(value: str) -> None:
    """Raise ValidationError unless HTTP Basic can carry the password."""
    _check(authentication.check_password, value)


@accepts(pattern=patterns.CLIENT_TEXT)
def client_text(value: str) -> None:
    """Raise ValidationError unless a token endpoint can be sent the id or the secret."""
    _check(authentication.check_client_text, value)


@accepts(pattern=patterns.AUDIENCE)
def audience(value: str) -> None:
    """Raise ValidationError unless a token endpoint can be sent the audience."""
    if value:
        client_text(value)


@accepts(pattern=patterns.SCOPE)
def scope(value: str) -> None:
    """Raise ValidationError unless it is a list of scopes."""
    _check(authentication.check_scope, value)


def _mark(description: str) -> dict[str, Any]:
    return {"description": description, CONDITIONAL: True, NEVER_NULL: True}


@accepts(anyOf=[_shape(kind) for kind in ALLOWED])
class AuthenticationSchema(RequestSchema):
    """How requests authenticate to the endpoint. The fields of another kind are left out.

    A PUT without it removes it.
    """

    kind = Choice(
        list(ALLOWED),
        required=True,
        metadata={
            "description": "`basic`: `Authorization: Basic …` with a name and a password. `oauth2_client_credentials`: "
            "`Authorization: Bearer …` with an access token that webhookd gets from `token_url` and renews."
        },
    )
    username = Text(
        expected="the name of a user",
        least=1,
        most=255,
        load_default=None,
        validate=username,
        metadata=_mark("With `basic`: the name; without a colon."),
    )
    password = Text(
        expected="a password",
        most=1024,
        load_default=None,
        validate=password,
        metadata=_mark(f"With `basic`: the password. {MASKED}"),
    )
    token_url = Text(
        expected="a URL, such as https://login.example.com/oauth2/token",
        most=2048,
        load_default=None,
        validate=validators.url,
        metadata=_mark("With `oauth2_client_credentials`: the token endpoint. The rules for addresses apply to it."),
    )
    client_id = Text(
        expected="the id of a client",
        least=1,
        most=1024,
        load_default=None,
        validate=client_text,
        metadata=_mark("With `oauth2_client_credentials`: the id of the client."),
    )
    client_secret = Text(
        expected="the secret of a client",
        least=1,
        most=4096,
        load_default=None,
        validate=client_text,
        metadata=_mark(f"With `oauth2_client_credentials`: the secret of the client. {MASKED}"),
    )
    scope = Text(
        expected="scopes with a space between them",
        most=2048,
        load_default=None,
        validate=scope,
        metadata=_mark("With `oauth2_client_credentials`: the scopes to ask for; none by default."),
    )
    audience = Text(
        expected="an audience, such as https://api.example.com",
        most=2048,
        load_default=None,
        validate=audience,
        metadata=_mark(
            "With `oauth2_client_credentials`: the `audience` to send; none by default. Some servers want one."
        ),
    )
    client_authentication = Choice(
        [method.value for method in ClientAuthentication],
        load_default=None,
        metadata=_mark(
            "With `oauth2_client_credentials`: whether the token endpoint gets the client's id and secret in the "
            "header (`client_secret_basic`, the default) or in the body (`client_secret_post`)."
        ),
    )

    @validates_schema
    def _fits_kind(self, data: dict[str, Any], **_options: object) -> None:
        kind = data["kind"]
        given = [name for name in self.fields if name != "kind" and data[name] is not None]
        errors = {name: [f"is not a field of {kind}: leave it out"] for name in given if name not in ALLOWED[kind]}
        missing = [name for name in REQUIRED[kind] if data[name] is None]
        errors |= {name: [f"is missing: {kind} needs {listed(REQUIRED[kind])}"] for name in missing}
        if errors:
            raise ValidationError(errors)


def one_authorization(headers: list[str], given: object) -> None:
    """Raise ValidationError when the headers have an Authorization beside the authentication."""
    names = {text.partition(":")[0].lower() for text in headers}
    if given is not None and authentication.AUTHORIZATION.lower() in names:
        raise ValidationError(
            {"authentication": ["is given, and headers has an Authorization too: leave one of them out"]}
        )
