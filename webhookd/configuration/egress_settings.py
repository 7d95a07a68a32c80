"""The settings about where requests may go; webhookd/settings.py has the others and says how they are read."""

from pydantic import Field

from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import HostPatternText, Network, PortRange


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
