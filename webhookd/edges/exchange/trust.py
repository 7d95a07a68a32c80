"""Whom a TLS connection trusts."""

import ssl
from pathlib import Path

import certifi


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies certificate and host name against the system's authorities and those in `ca_file`.

    Where the system keeps no authorities, certifi's are taken. TLS 1.2 at least; no renegotiation, which would make
    a write wait for a read. Reads files: make it once. Raises OSError or `ssl.SSLError` for an unusable `ca_file`.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context
