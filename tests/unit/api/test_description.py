"""What the OpenAPI document says of a value is what its validator does.

Oracle: the validators themselves, on values near the edges of each pattern.
"""

import re
from collections.abc import Callable, Iterator

import jsonschema_rs
import pytest
from hypothesis import given, settings, strategies
from marshmallow import Schema, ValidationError, fields

from api.description import patterns
from api.description.keywords import ATTRIBUTE, keywords_of
from api.resources.administration.schemas import SwitchSchema
from api.resources.key.schemas import NewKeySchema
from api.resources.subscription import authentication_schemas, validators
from api.resources.subscription.schemas import SubscriptionSchema
from webhookd.flow.attempt.signature import SigningKind, new_secret

OWN = {
    "api.resources.subscription.authentication_schemas",
    "api.resources.subscription.validators",
    "api.resources.key.schemas",
}

HEADERS = [
    *["X: y", "X:", ": y", "X", "x y: z", "Host: a", "hOsT: a", "Hosts: a", "TE: a", "Webhook-Id: a", "Proxy-X: a"],
    *["X: \n", "X: \xe4", "X: \x80", "X: \u20ac", "X: ****", "!#$%&'*+.^_`|~-: a", "Content-Type: a", "X\n: a"],
]

URLS = [
    *["https://a", "http://a.b:80/c?d=e", "ftp://a", "https://", "https:///a", "https://a:0", "https://a:65535"],
    *["https://a:65536", "https://u@a", "https://a#b", "https://a/b c", "https://-a", "https://a-", "https://a_b"],
    *["https://[::1]", "https://[::]:1/", "https://[1:2:3:4:5:6:7:8]", "https://[1:2]", "https://[:1]", "//a"],
    *["https://[1::8]", "https://[1:2:3:4:5:6::8]", "https://[1:2:3:4:5:6:7::]", "https://a?b", "https://a\n"],
    *[
        "https://[1:2:3:4:5:6:7::8]",
        "https://[1::2::3]",
        "https://a/%zz",
        "https://a/%4",
        "https://a/%41",
        "https://a/%",
    ],
    *[f"https://a/x{char}y" for char in '{}|^"<>`\\'],
]

SECRETS = [
    *[new_secret(SigningKind.HMAC_SHA256, bytes(count)) for count in range(20, 70)],
    *[new_secret(SigningKind.ED25519, bytes(count)) for count in range(30, 70)],
    *["", "whsec_", "whsk_", f"whsec_{'A' * 32}=", f"whsec_{'A' * 32}==", f"whsec_{'-' * 32}", f"whsec_{'A' * 32}\n"],
    *[
        f"whpk_{'A' * 43}=",
        f"whsk_{'A' * 43}",
        f"whsec_{'A' * 33}",
        f"whsec_{'A' * 34}==",
        f"whsec_{'A' * 31}=",
        "****",
    ],
]

CASES: dict[str, tuple[Callable[[str], None], list[str]]] = {
    patterns.ONE_LINE: (validators.name, ["a", " a ", "", " ", "\u2028", "a\nb", "a\x85", "\u3000", "\xa0x", "ü"]),
    patterns.TOPIC: (validators.topic, ["a", ".", "..", "...", "__a", "_a", "a" * 249, "a" * 250, "a b", "", "a\n"]),
    patterns.TOPIC_NAME: (validators.topic_name, ["__a", ".", "..", ".a", "a-b_c.9", "ä"]),
    patterns.HEADER: (validators.header, HEADERS),
    patterns.URL: (validators.url, URLS),
    patterns.USERNAME: (authentication_schemas.username, ["a", "ü b", "a:b", "", "a\n", "\x85", "😀"]),
    patterns.PASSWORD: (authentication_schemas.password, ["a:b", "", "ü", "a\n", "\x7f", "\u2028"]),
    patterns.CLIENT_TEXT: (authentication_schemas.client_text, ["a b~", "", "ü", "a\n", "\x7f"]),
    patterns.AUDIENCE: (authentication_schemas.audience, ["https://a", "", "ü", "a\n"]),
    patterns.SCOPE: (authentication_schemas.scope, ["a", "a b", "", " a", "a  b", 'a"', "a\\", "a\n", "ü"]),
    patterns.SIGNING_SECRET: (validators.signing_secret, SECRETS),
    patterns.NEW_SIGNING_SECRET: (validators.new_signing_secret, SECRETS),
}
"""Values on both sides of each pattern; what the pattern says is compared with what the validator does."""


def accepted(check: Callable[[str], None], value: str) -> bool:
    try:
        check(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("pattern", CASES)
def test_pattern_says_what_the_validator_does(pattern: str) -> None:
    check, values = CASES[pattern]
    schema = jsonschema_rs.validator_for({"type": "string", "pattern": pattern})
    different = [value for value in values if schema.is_valid(value) != accepted(check, value)]
    assert different == []
    assert {schema.is_valid(value) for value in values} == {True, False}


@pytest.mark.parametrize("pattern", CASES)
def test_generated_values_are_accepted(pattern: str) -> None:
    check = CASES[pattern][0]

    @settings(max_examples=50, derandomize=True, database=None, deadline=None)
    @given(strategies.from_regex(re.compile(pattern.removesuffix("$") + r"\Z")))
    def each(value: str) -> None:
        assert accepted(check, value), value

    each()


def checks(schema: Schema) -> Iterator[tuple[str, object]]:
    """Each validator of webhookd's own, with the field that has it."""
    for name, field in schema.fields.items():
        inner = field.inner if isinstance(field, fields.List) else field
        for check in [*field.validators, *inner.validators]:
            if getattr(check, "__module__", "") in OWN:
                yield name, check
        if isinstance(inner, fields.Nested) and not field.dump_only:
            yield from checks(inner.schema)


@pytest.mark.parametrize("schema", [SubscriptionSchema, NewKeySchema, SwitchSchema])
def test_each_validator_says_what_it_accepts(schema: type[Schema]) -> None:
    silent = [(name, check) for name, check in checks(schema()) if not hasattr(check, ATTRIBUTE)]
    assert silent == []


def test_keywords_of_a_field_are_those_of_its_validators() -> None:
    field = SubscriptionSchema().fields["name"]
    assert keywords_of(field) == {"pattern": patterns.ONE_LINE}
