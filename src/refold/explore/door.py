"""Who may come in: one door before everything that the page's server answers.

A page on this machine is reachable by more than its owner: by other people's programs on the same machine, and by any
other site that is open in the same browser, which may send requests to ``localhost``, or make a name of its own point
there. So every request, the upgrade to a websocket too, must say the right host, come from no other site, ask for
nothing but the page, and know the token.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    ResponseStartLine,
)
from tornado.routing import Router

from refold.errors import ParameterError

# What a page consists of. Panel answers more than that: it imports the module that a path below /components names.
_PAGE = "/"
_PARTS = re.compile(r"/(ws|favicon\.ico|static/([A-Za-z0-9_@./-]|%5E)+)")  # a version, as in @^1.10
_SOUND_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_REASONS = {303: "See Other", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 421: "Misdirected Request"}


def new_token() -> str:
    """Make a token that nobody guesses.

    Examples
    --------
    >>> len(new_token())
    43
    """
    return secrets.token_urlsafe(32)


def check_token(token: str) -> str:
    """Return a token that was given.

    Raises
    ------
    ParameterError
        If it is short, or could not stand in an address.
    """
    if not _SOUND_TOKEN.fullmatch(token):
        raise ParameterError(
            f"a token of {len(token)} characters",
            "at least 16 letters, digits, - and _",
            "leave it out: a good one is made and printed",
        )
    return token


@dataclass(frozen=True)
class Answer:
    """What is answered at the door.

    Parameters
    ----------
    status : int
        Of HTTP.
    text : str
        For people.
    headers : dict
        Further ones.
    """

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


class Door(Router):
    """Lets requests through to an application, or answers them itself.

    Parameters
    ----------
    inside : tornado.routing.Router
        Who answers those that may come in.
    token : str
        What they must know.
    hosts : collection of str
        Names of this machine by which browsers may ask, beside ``localhost`` and its numbers.
    cookie : str
        Name under which a browser keeps the token.
    """

    def __init__(self, inside: Router, token: str, hosts: Collection[str] = (), cookie: str = "refold") -> None:
        self.inside = inside
        self.hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self.cookie = cookie
        self._token = token

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """Give a request to who answers it."""
        answer = self.answer(request)
        return self.inside.find_handler(request, **kwargs) if answer is None else _Refusal(request, answer)

    def answer(self, request: HTTPServerRequest) -> Answer | None:
        """What to answer here; None for a request that may come in."""
        return self._elsewhere(request) or self._from_elsewhere(request) or self._stranger(request)

    def _elsewhere(self, request: HTTPServerRequest) -> Answer | None:
        """Asked by a name that is not this machine's, or for something that is not of the page."""
        if not self._is_ours(_hostname(request.headers.get_list("Host"))):
            return Answer(421, "This page is not served under that name: ask for it by the address that was printed.")
        if request.method != "GET":
            return Answer(405, "Only GET is answered.", {"Allow": "GET"})
        path = request.path
        if path != _PAGE and (not _PARTS.fullmatch(path) or ".." in path):
            return Answer(404, "There is only one page here, at /.")
        return None

    def _is_ours(self, host: str | None) -> bool:
        """Whether a browser that asks by this name cannot have been led here by a name of somebody else's."""
        if not host:
            return False
        if host == "localhost" or host in self.hosts:
            return True
        try:
            ip_address(host)  # numbers are no name that anybody could point elsewhere
        except ValueError:
            return False
        return True

    def _from_elsewhere(self, request: HTTPServerRequest) -> Answer | None:
        """Sent by a page of another site, or of another port of this machine."""
        headers, refusal = request.headers, Answer(403, "Other sites may not ask for this page.")
        origins = headers.get_list("Origin")
        own = request.host.lower()
        if any(urlsplit(origin).netloc.lower() != own for origin in origins):
            return refusal
        if headers.get("Sec-Fetch-Dest", "") in ("iframe", "frame", "embed", "object", "fencedframe"):
            return refusal  # nobody lays a page of theirs over this one
        site = headers.get("Sec-Fetch-Site", "none")
        followed_link = headers.get("Sec-Fetch-Mode") == "navigate" and request.path == _PAGE
        return None if site in ("none", "same-origin") or followed_link else refusal

    def _stranger(self, request: HTTPServerRequest) -> Answer | None:
        """Who does not know the token; who brings it in the address is given it to keep, and sent on without it."""
        told = [value.decode("latin-1") for value in request.query_arguments.get("token", [])]
        if len(told) == 1 and self._knows(told[0]):
            if request.path != _PAGE:
                return None
            kept = f"{self.cookie}={told[0]}; Path=/; HttpOnly; SameSite=Lax"
            return Answer(303, "", {"Location": "./", "Set-Cookie": kept})
        if any(self._knows(value) for value in _cookies(request, self.cookie)):
            return None
        return Answer(
            403, "Found no token, or a wrong one; wanted the one of this page. To mend it: open the address as printed."
        )

    def _knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token.encode())


def _hostname(hosts: list[str]) -> str | None:
    """The name in a Host header, without the port; None where there is none, or more than one."""
    if len(hosts) != 1 or not re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", hosts[0]):
        return None
    try:
        name = urlsplit(f"//{hosts[0]}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def _cookies(request: HTTPServerRequest, name: str) -> list[str]:
    found = []
    for line in request.headers.get_list("Cookie"):
        try:
            jar = SimpleCookie(line)
        except CookieError:
            continue
        found += [jar[name].value] if name in jar else []
    return found


class _Refusal(HTTPMessageDelegate):
    """Answers without asking the application; what a request brings along is not looked at."""

    def __init__(self, request: HTTPServerRequest, answer: Answer) -> None:
        self.request = request
        self.given = answer

    def finish(self) -> None:
        """Answer."""
        connection, answer = self.request.connection, self.given
        if connection is None:
            return
        body = f"{answer.text}\n".encode() if answer.text else b""
        headers = HTTPHeaders(
            {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                **answer.headers,
            }
        )
        start = ResponseStartLine("HTTP/1.1", answer.status, _REASONS[answer.status])
        connection.write_headers(start, headers, body)
        connection.finish()
