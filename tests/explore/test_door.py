"""Who may come in: the right host, no other site, nothing but the page, and the token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.routing import Router

from refold.errors import ParameterError
from refold.explore.door import Door, check_token, new_token
from refold.explore.listening import is_loopback, names_of

TOKEN = "a-token-that-nobody-guesses"
HOST = "127.0.0.1:5006"


class _Connection:
    """What a request knows of its connection, and what was answered on it."""

    def __init__(self):
        self.context = type("Context", (), {"remote_ip": "127.0.0.1", "protocol": "http"})()
        self.answered = None

    def set_close_callback(self, callback):
        pass

    def write_headers(self, start, headers, chunk=b""):
        self.answered = (start.code, headers, chunk)

    def finish(self):
        pass


class _Inside(Router):
    def find_handler(self, request, **kwargs):
        return "inside"


def asked(path="/", method="GET", *, host=HOST, cookie=None, **headers):
    """What the door answers: 0 where it lets through."""
    lines = HTTPHeaders()
    if host is not None:
        lines.add("Host", host)
    if cookie is not None:
        lines.add("Cookie", f"other=1; refold-5006={cookie}")
    for name, value in headers.items():
        lines.add(name.replace("_", "-"), value)
    start = RequestStartLine(method, path, "HTTP/1.1")
    request = HTTPServerRequest(start_line=start, headers=lines, connection=_Connection())
    door = Door(_Inside(), TOKEN, names_of("127.0.0.1", ["lab.example.org"]), "refold-5006")
    handler = door.find_handler(request)
    if handler == "inside":
        return 0
    handler.finish()
    return request.connection.answered[0]


def test_who_brings_the_token_is_given_it_to_keep_and_sent_on_without_it():
    door = Door(_Inside(), TOKEN, cookie="refold-5006")
    connection = _Connection()
    start = RequestStartLine("GET", f"/?token={TOKEN}", "HTTP/1.1")
    request = HTTPServerRequest(start_line=start, headers=HTTPHeaders({"Host": HOST}), connection=connection)
    door.find_handler(request).finish()
    status, headers, _ = connection.answered
    assert (status, headers["Location"]) == (303, "./")
    assert headers["Set-Cookie"] == f"refold-5006={TOKEN}; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/static/js/bokeh.min.js?v=1", "/static/es@%5E1.10.0/a.js", "/favicon.ico"]
)
def test_who_keeps_it_comes_in(path):
    assert asked(path, cookie=TOKEN) == 0
    assert asked(path) == 403
    assert asked(path, cookie=TOKEN[:-1]) == 403
    assert asked(path, cookie=TOKEN + "a") == 403
    assert asked(path, cookie="") == 403


@pytest.mark.parametrize(
    "told", ["?token=", "?token=x", f"?token={TOKEN}&token={TOKEN}", f"?Token={TOKEN}", "?token=%ff"]
)
def test_no_other_token_will_do(told):
    assert asked(f"/{told}") == 403
    assert asked(f"/ws{told}") == 403


def test_programs_may_bring_it_in_the_address_of_the_websocket():
    assert asked(f"/ws?token={TOKEN}") == 0


@pytest.mark.parametrize(
    "host", ["localhost:5006", "127.0.0.1", "[::1]:5006", "192.168.7.7:80", "LAB.example.org", "lab.example.org.:5006"]
)
def test_names_of_this_machine_are_known(host):
    assert asked(host=host, cookie=TOKEN) == 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:5006",
        "localhost.evil.example",
        "",
        "[::1",
        "1.2.3",
    ],
)
def test_a_name_that_was_led_here_is_refused_token_or_not(host):
    assert asked(host=host, cookie=TOKEN) == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (f"http://{HOST}", 0),
        ("http://evil.example", 403),
        ("http://127.0.0.1:8888", 403),  # another port of this machine
        ("null", 403),
        ("http://127.0.0.1:5006.evil.example", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/ws"])
def test_other_sites_get_nothing(path, origin, status):
    assert asked(path, cookie=TOKEN, Origin=origin) == status


def test_a_link_may_lead_here_and_nothing_else_of_another_site():
    there = {"Sec_Fetch_Site": "cross-site", "cookie": TOKEN}
    assert asked(Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document", **there) == 0
    assert asked(Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe", **there) == 403
    assert asked(Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="script", **there) == 403
    assert asked("/static/js/bokeh.js", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document", **there) == 403
    assert asked(Sec_Fetch_Mode="cors", Sec_Fetch_Dest="empty", Sec_Fetch_Site="same-site", cookie=TOKEN) == 403
    assert asked(Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="frame", Sec_Fetch_Site="same-origin", cookie=TOKEN) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/components/os/path/__css__/x",  # Panel would import the module
        "/autoload.js",
        "/metadata",
        "/static/../../etc/passwd",
        "/static/%2e%2e/secret",
        "//evil.example/",
        "/etc/passwd",
        "/?/../x/../../etc",
    ],
)
def test_there_is_only_the_page(path):
    assert asked(path, cookie=TOKEN) in ((0,) if path.startswith("/?") else (404,))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_nothing_but_get(method):
    assert asked(method=method, cookie=TOKEN) == 405


@given(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1).filter(lambda text: TOKEN not in text))
def test_whatever_a_cookie_holds_the_door_holds(junk):
    assert asked(cookie=junk) == 403


def test_tokens():
    assert new_token() != new_token()
    assert check_token(new_token())
    for wrong in ("short", "a" * 15, "with spaces and more", "a" * 300, "ä" * 20, "semi;colon;" * 3):
        with pytest.raises(ParameterError, match="at least 16"):
            check_token(wrong)


def test_which_addresses_only_this_machine_reaches():
    assert [is_loopback(a) for a in ("127.0.0.1", "127.0.0.9", "::1", "LocalHost")] == [True] * 4
    assert [is_loopback(a) for a in ("0.0.0.0", "::", "10.1.2.3", "lab.example.org")] == [False] * 4
    assert "lab" in names_of("lab")
    assert names_of("localhost") == frozenset()
