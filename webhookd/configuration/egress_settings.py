"""The settings about where requests may go; webhookd/settings.py has the others and says how they are read."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import (
    HostConcurrency,
    HostPatternText,
    HostRate,
    Network,
    OriginName,
    PortRange,
    ProxyUrl,
)

TlsSkipVerify = Literal["refused", "allowed"]
EndpointVerification = Literal["optional", "required"]


class EgressRuleSettings(Subject):
    """Where requests may go."""

    egress_allow: tuple[Network, ...] = Field(
        default=(),
        description="Networks (CIDR) to which webhookd may send, in addition to the public internet. For example "
        "`10.0.0.0/8,192.168.0.0/16`.",
    )
    egress_forbid: tuple[Network, ...] = Field(
        default=(),
        description="Networks (CIDR) to which webhookd must not send, such as an own network with public addresses or "
        "the prefix of an own NAT64. Of allowed and forbidden networks, the smallest one that holds an address "
        "decides: with `0.0.0.0/0,::/0` here, only `WEBHOOKD_EGRESS_ALLOW` is left.",
    )
    egress_allow_hosts: tuple[HostPatternText, ...] = Field(
        default=(),
        description="The hosts that URLs may have; empty: every host. `example.com` is one host, `*.example.com` all "
        "hosts below it. Their addresses are judged all the same.",
    )
    egress_forbid_hosts: tuple[HostPatternText, ...] = Field(
        default=(),
        description="Hosts that URLs must not have, also when `WEBHOOKD_EGRESS_ALLOW_HOSTS` lists them.",
    )
    egress_allow_ports: tuple[PortRange, ...] = Field(
        default=(),
        description="The ports that URLs may have; empty: every port. For example `443,8000-8999`.",
    )
    egress_forbid_ports: tuple[PortRange, ...] = Field(
        default=(),
        description="Ports that URLs must not have, also when `WEBHOOKD_EGRESS_ALLOW_PORTS` lists them.",
    )
    egress_require_https: bool = Field(
        default=False,
        description="`true` refuses URLs with `http`: nothing is sent without TLS. All these rules hold when a URL is "
        "registered and whenever a connection is opened. All API and worker processes need the same values.",
    )


class EgressSettings(Subject):
    """Connections to endpoints."""

    egress_ca_file: Path | None = Field(
        default=None, description="A CA bundle (PEM) that is trusted in addition to the system's."
    )
    egress_client_cert_file: Path | None = Field(
        default=None, description="The client certificate (PEM, chain included) for endpoints that ask for one."
    )
    egress_client_key_file: Path | None = Field(
        default=None,
        description="The private key of the client certificate (PEM, unencrypted), unless the certificate's file "
        "holds it.",
    )
    egress_tls_skip_verify: TlsSkipVerify = Field(
        default="refused",
        description="Whether a subscription may go without the verification of its endpoint's certificate "
        "(`destination.webhook.tls.verify`). Subscriptions that do stop when it is `refused` again. For tests; give "
        "the API, ingest and the workers the same value.",
    )
    egress_proxy: ProxyUrl | None = Field(
        default=None,
        description="An HTTP proxy, as `http://[user:password@]host:port`. Every connection to an endpoint is a "
        "CONNECT through it. `WEBHOOKD_EGRESS_PROXY_JUDGES` says who resolves host names and judges their addresses. "
        "The proxy's own address is not judged.",
    )
    egress_proxy_judges: bool = Field(
        default=True,
        description="`true`: the proxy gets the host name, resolves it, and has to refuse names that lead to internal "
        "addresses (as smokescreen does); webhookd judges only a URL whose host is an address. `false`: webhookd "
        "resolves the name, judges the addresses, and the proxy gets an address that was allowed.",
    )


class VerificationSettings(Subject):
    """Consent of endpoints."""

    endpoint_verification: EndpointVerification = Field(
        default="optional",
        description="`required`: a client's subscription must have a `destination.webhook.verification` other than "
        "`none`, so that no endpoint gets requests that it has not agreed to. It holds for new subscriptions and for "
        "changes of the URL or of the verification; other subscriptions go on as they are. Admins may do without.",
    )
    verification_origin: OriginName = Field(
        default="webhookd",
        description="The host name by which endpoints know this installation: `WebHook-Request-Origin` of the "
        "validation request, and of the deliveries to endpoints that were asked with it. For example "
        "`webhooks.example.com`. Endpoints that have consented are not asked again when it changes. All workers need "
        "the same value.",
    )


class HostLimitSettings(Subject):
    """Limits of each host."""

    host_rate_limits: tuple[HostRate, ...] = Field(
        default=(),
        description="How many requests a second all subscriptions together send to a host, as `host=number`. "
        "`*.example.org` stands for every host below example.org, `*` for every host; each host has its own limit, and "
        "of several patterns the longest counts. For example `*=100,partner.example=5`.",
    )
    host_max_concurrent: tuple[HostConcurrency, ...] = Field(
        default=(),
        description="How many requests of all subscriptions together may be open to a host at once, written likewise.",
    )
