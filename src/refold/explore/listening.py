"""The page's server: where it listens, by which names it is asked, and that all come in by the door."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Any

from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from panel.io.server import build_applications
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from refold.errors import ParameterError
from refold.explore.door import Door

_LARGEST_REQUEST = 2**20  # bytes: a page is asked for, nothing is sent to it but messages over its websocket
_LARGEST_MESSAGE = 16 * 2**20


@contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """Listen on a port.

    Raises
    ------
    ParameterError
        If it is taken, or there is no such address on this machine.
    """
    if not 0 <= port < 2**16:
        raise ParameterError(f"port {port}", "0 to 65535", "leave it out: one that is free is taken")
    try:
        (family, *_, place), *_ = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        made = socket.create_server(place[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ParameterError(
                f"port {port} of {address}, on which something listens already",
                "a free one",
                "leave --port out, or end what runs there",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ParameterError(
                f"port {port}, which only the system may use", "a port from 1024 on", "leave --port out"
            ) from error
        raise ParameterError(
            f"address {address!r}: {error.strerror or error}",
            "an address of this machine",
            "leave --address out to listen on this machine alone",
        ) from error
    with made:
        made.setblocking(False)
        yield made


@asynccontextmanager
async def answering(
    page: Callable[[], Any], listener: socket.socket, token: str, hosts: Collection[str]
) -> AsyncIterator[None]:
    """Answer requests on a socket.

    Parameters
    ----------
    page : callable
        Makes the page of each session.
    listener : socket.socket
        Listening already.
    token : str
        What browsers must know.
    hosts : collection of str
        Names by which they may ask, beside localhost and numbers.
    """
    inside = _Inside(
        build_applications({"/": page}, title="Refold", location=False),
        extra_websocket_origins=["*"],  # the door has asked already, and knows of tunnels
        sign_sessions=True,  # sessions are made by asking for the page, and not by naming one
        secret_key=secrets.token_bytes(32),
        include_headers=[],
        include_cookies=[],  # they would be written into the page, the token among them
        websocket_max_message_size_bytes=_LARGEST_MESSAGE,
    )
    port = listener.getsockname()[1]
    door = Door(inside, token, hosts, cookie=f"refold-{port}")
    http = HTTPServer(door, max_body_size=_LARGEST_REQUEST)
    http.add_socket(listener)
    server = BaseServer(IOLoop.current(), inside, http)
    server.start()
    try:
        yield
    finally:
        server.stop()
        await http.close_all_connections()


class _Inside(BokehTornado):  # type: ignore[misc]  # of a library whose types are not followed
    """Bokeh's application; of what goes wrong in it browsers hear that it did, and not where in which file."""

    def new_connection(self, *args: Any) -> Any:
        """Connect a browser."""
        connection: Any = super().new_connection(*args)
        say = connection.error

        def error(message: Any, text: str) -> Any:
            said = say(message, "that could not be done; the server's own output says why")
            said.content["traceback"] = None
            return said

        connection.error = error
        return connection


def names_of(address: str, hosts: Collection[str] = ()) -> frozenset[str]:
    """Names by which browsers may ask for a page that is served at an address, beside localhost and numbers.

    Examples
    --------
    >>> sorted(names_of("127.0.0.1", ["lab.example.org"]))
    ['lab.example.org']
    """
    names = {host.lower() for host in hosts}
    if not is_loopback(address):
        names |= {address.lower(), socket.gethostname().lower()}
    return frozenset(names)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def in_url(address: str) -> str:
    """The address as a browser is to ask for it.

    Examples
    --------
    >>> in_url("::1")
    '[::1]'
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.is_unspecified:
        return socket.gethostname()
    return f"[{address}]" if found.version == 6 else address
