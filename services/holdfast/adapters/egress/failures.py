"""From what aiohttp raises to what the port promises: Forbidden or Unreachable, with a stable name.

| error               | when                                                            |
|---------------------|-----------------------------------------------------------------|
| `Forbidden`         | every address of the host is refused by the guard               |
| `InvalidUrl`        | the URL is not one to dial (see `target`)                       |
| `NameNotResolved`   | no address for the name                                         |
| `ConnectionRefused` | nothing listens there                                           |
| `NoRoute`           | the network or host cannot be reached                           |
| `ConnectFailed`     | any other failure to connect                                    |
| `TlsFailed`         | handshake or certificate                                        |
| `HostBusy`          | timed out waiting for one of the connections to this host       |
| `NameTimeout`       | timed out resolving the name                                    |
| `ConnectTimeout`    | timed out connecting (TCP or TLS)                               |
| `ReadTimeout`       | timed out waiting for the answer or reading it                  |
| `ConnectionReset`   | the other side closed or reset the connection                   |
| `BrokenResponse`    | what came is not HTTP, is cut short, or its headers are endless |
| `TooManyRedirects`  | more redirects than we follow                                   |
"""

from __future__ import annotations

import errno

import aiohttp
from yarl import URL

from holdfast.adapters.egress.dial import Trip
from holdfast.adapters.egress.target import where
from holdfast.domain.errors import HandlerError
from holdfast.ports.egress import Forbidden, Unreachable

_CONNECT_ERRORS = {
    errno.ECONNREFUSED: ("ConnectionRefused", "nothing listens there"),
    errno.ENETUNREACH: ("NoRoute", "the network cannot be reached"),
    errno.EHOSTUNREACH: ("NoRoute", "the host cannot be reached"),
    errno.ETIMEDOUT: ("ConnectTimeout", "it did not answer"),
    errno.ECONNRESET: ("ConnectionReset", "it reset the connection"),
}


def translate(error: Exception, url: URL, trip: Trip, timeout: float) -> HandlerError:
    """The port's error for a failure of aiohttp's while asking `url`."""
    host = where(url)
    if trip.refused and not trip.dialled:
        return refusal(url, trip)
    match error:
        case TimeoutError():
            return Unreachable(f"{host} took longer than {timeout:g} s ({_doing(trip)})", error=trip.phase.value)
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(
                f"the name {url.host} could not be resolved ({error.os_error.strerror or error.os_error})",
                error="NameNotResolved",
            )
        case aiohttp.ClientConnectorCertificateError():
            return Unreachable(
                f"{host} shows a certificate that cannot be verified ({error.certificate_error})", error="TlsFailed"
            )
        case aiohttp.ClientSSLError():
            return Unreachable(f"the TLS handshake with {host} failed ({error.os_error})", error="TlsFailed")
        case aiohttp.ClientConnectorError():
            name, why = _CONNECT_ERRORS.get(error.errno or 0, ("ConnectFailed", str(error.os_error)))
            return Unreachable(f"no connection to {host}: {why}", error=name)
        case aiohttp.InvalidURL():
            return Forbidden(
                f"{host} cannot be dialled: {error.description or 'the URL is malformed'}", error="InvalidUrl"
            )
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return Unreachable(f"{host} closed the connection before it answered in full", error="ConnectionReset")
        case _:
            return Unreachable(f"{host} answered with something that is not proper HTTP", error="BrokenResponse")


def refusal(url: URL, trip: Trip) -> Forbidden:
    """Every address of the host was refused: say which, why, and how to permit it."""
    address, what = trip.refused[0]
    subject = f"{url.host} is" if url.host == address else f"{url.host} resolves to {address}, which is"
    return Forbidden(f"{subject} {what}; add its network to HOLDFAST_EGRESS_ALLOW to permit it")


def _doing(trip: Trip) -> str:
    return {
        "HostBusy": "all connections to it were in use",
        "NameTimeout": "resolving its name",
        "ConnectTimeout": "connecting",
        "ReadTimeout": "waiting for its answer",
    }[trip.phase]
