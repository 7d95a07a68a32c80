"""`webhookd egress`: says whether requests may go to URLs, under the egress rules of this environment."""

import sys
from collections.abc import Iterator

import click

from api.resources.endpoint_check.check import EndpointCheck
from command.help_text import HelpCommand
from command.loading import load_settings
from webhookd.edges.http_client.dns_resolver import resolve
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.target import Target, check_url
from webhookd.flow.attempt.url_verdict import UrlVerdict

DEADLINE_S = 5.0
"""How long a look-up of one host may take."""

NOT_ACCEPTED = 1
"""The exit code when a URL is not accepted."""

EXAMPLES = (("May webhookd send there?", "webhookd egress https://example.com/hook"),)


@click.command(cls=HelpCommand, examples=EXAMPLES)
@click.argument("urls", metavar="URL…", nargs=-1, required=True)
def egress(urls: tuple[str, ...]) -> None:
    """Say whether webhookd would send requests to each URL, with the settings of this environment.

    It judges the scheme, the port and the host, looks the host up, and shows each address with the rule that refuses
    it. It connects to no address. Run it where the workers run: names may have other addresses elsewhere. Names that an
    egress proxy judges are not looked up.

    The exit code is 1 if a URL is refused, cannot be used, or has a host that cannot be resolved.
    """
    check = EndpointCheck(load_settings(), resolve, deadline_s=DEADLINE_S)
    verdicts = [_shown(check, url) for url in urls]
    sys.exit(0 if all(verdicts) else NOT_ACCEPTED)


def _shown(check: EndpointCheck, url: str) -> bool:
    """Print the verdict about one URL; returns whether nothing speaks against it."""
    try:
        check_url(url)
    except InvalidInput as error:
        click.echo(f"{url}: cannot be used: it {error}")
        return False
    verdict = check.verdict(Target.parse(url))
    click.echo(f"{url}: {_summary(verdict)}")
    for line in _addresses(verdict):
        click.echo(line)
    return bool(verdict.accepted) or verdict.judged_by_proxy


def _summary(verdict: UrlVerdict) -> str:
    if verdict.judged_by_proxy:
        return "no rule refuses it; the egress proxy resolves the host and judges its addresses"
    if verdict.unresolved:
        return f"not known: the host cannot be resolved now: {verdict.unresolved}"
    return "accepted" if verdict.accepted else f"refused: {', '.join(verdict.rules)}"


def _addresses(verdict: UrlVerdict) -> Iterator[str]:
    for one in verdict.addresses:
        yield f"    {one.address}  {'allowed' if one.rule is None else f'refused: {one.rule}'}"
