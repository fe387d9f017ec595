"""Addresses of servers, and what proves a client's identity."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from ._errors import InvalidAddress

OPTIONS: list[tuple[str, int]] = [
    # The server has limits of its own, which it names when they are passed.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A broken connection is restored within the time of a retry.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Target:
    """A server, and how to reach it."""

    address: str
    """"HOST:PORT"."""
    is_encrypted: bool
    token: str | None = field(repr=False)
    authorities: bytes | None = field(repr=False)
    certificate: tuple[bytes, bytes] | None = field(repr=False)

    def options(self) -> list[tuple[str, int]]:
        """The options of its channel."""
        if _is_loopback(self.address):
            # A proxy of the environment reaches another machine's loopback.
            return [*OPTIONS, ("grpc.enable_http_proxy", 0)]
        # A peer that vanished is noticed during a long run.
        return [*OPTIONS, ("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]

    def credentials(self) -> Any:
        """The credentials of its channel; None for one without TLS."""
        if not self.is_encrypted:
            return None
        chain, key = self.certificate or (None, None)
        return grpc.ssl_channel_credentials(self.authorities, key, chain)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


def read_target(
    url: str,
    token: str | None = None,
    ca: str | os.PathLike[str] | bytes | None = None,
    certificate: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
) -> Target:
    """The server of `url`, which is HOST:PORT or begins with http:// or https://.

    Raises:
        InvalidAddress: it is no address of a server, or a token would cross a network in plain text.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https"):
        raise InvalidAddress(f"{url}: the scheme {parts.scheme!r} is not supported: use http or https")
    if "@" in parts.netloc:
        raise InvalidAddress("an address has no user name or password: give a token instead")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidAddress(
            f"{url}: the path {parts.path!r} cannot be reached: gRPC has its paths at the root of a host. Have the proxy "
            "forward a host or a port of its own, and leave the path out"
        )
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidAddress(f"{url}: {error}") from None
    if not host or any(character.isspace() for character in parts.netloc):
        raise InvalidAddress(f"{url!r} is not an address such as localhost:50051 or a URL such as https://lab.uni.edu:50051")
    is_encrypted = parts.scheme == "https"
    default = 443 if is_encrypted else 50051
    address = f"[{host}]:{port or default}" if ":" in host else f"{host}:{port or default}"
    # An empty token means none, even if the environment has one.
    token = _token(token if token is not None else _token_of_environment())
    if not is_encrypted and (ca is not None or certificate is not None):
        raise InvalidAddress(f"certificates are for https, and this address is plain http: use https://{address}")
    if not is_encrypted and token and not _is_loopback(address):
        raise InvalidAddress(
            f"a token would be readable by anyone on the way: use https://{address} (plain http is for loopback)"
        )
    if ca is None and is_encrypted:
        ca = os.environ.get("BACKPROPD_CA")
    return Target(
        address=address,
        is_encrypted=is_encrypted,
        token=token,
        authorities=ca if isinstance(ca, bytes) or ca is None else _read("ca", ca),
        certificate=None if certificate is None else (_read("certificate", certificate[0]), _read("its key", certificate[1])),
    )


def _token_of_environment() -> str | None:
    """The token that the command line would use."""
    token = os.environ.get("BACKPROPD_TOKEN")
    file = os.environ.get("BACKPROPD_TOKEN_FILE")
    return token if token or not file else _read("the token of BACKPROPD_TOKEN_FILE", file).decode("utf-8", "replace")


def _read(what: str, file: str | os.PathLike[str]) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidAddress(f"{what} cannot be read: {error}") from None


def _token(token: str | None) -> str | None:
    """The token without space around it.

    Raises:
        InvalidAddress: it has characters that no token has. It is not shown.
    """
    if not token:
        return None
    token = token.strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise InvalidAddress(
            f"the token is not one: it has {len(token)} characters, with spaces or other characters that no token has"
        )
    return token


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
