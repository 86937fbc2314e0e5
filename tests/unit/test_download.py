"""Downloads: redirects, broken ends and forbidden addresses, against a real web server on loopback. Addresses are allowed in the tests that mean another thing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from swarm_operator.adapters import download
from swarm_operator.adapters.download import HttpDownloads
from swarm_operator.controllers.image_transfers import Transfers, checked
from swarm_operator.domain.errors import ErrorKind, ExternalError

CONTENT = bytes(range(256)) * 20_000


class Handler(BaseHTTPRequestHandler):
    """/file, /short (less than it says), /unknown (no length), /to?URL."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/to":
            self.send_response(302)
            self.send_header("Location", query)
            self.end_headers()
        elif path in ("/file", "/short", "/unknown"):
            self.send_response(200)
            if path != "/unknown":
                self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: len(CONTENT) // (2 if path == "/short" else 1)])
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if loopback were the internet."""
    monkeypatch.setattr(download, "_address", lambda host, port: "127.0.0.1")


def fetch(url: str) -> bytes:
    with HttpDownloads(5.0).open(url) as found:
        return b"".join(found.chunks)


def refusal(url: str) -> ExternalError:
    with pytest.raises(ExternalError) as refused:
        fetch(url)
    return refused.value


@pytest.mark.parametrize("path", ["/file", "/unknown", "/to?/file", "/to?/to?/file"])
def test_content_arrives_whole(server: str, loopback: None, path: str) -> None:
    assert fetch(server + path) == CONTENT


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/none", ErrorKind.INVALID, "HTTP status 404"),
        ("/short", ErrorKind.TRANSIENT, "broke off"),
        ("/to?file:///etc/passwd", ErrorKind.INVALID, "only http and https"),
        ("/to?gopher://127.0.0.1/x", ErrorKind.INVALID, "only http and https"),
        ("/to?http://me:pw@127.0.0.1/x", ErrorKind.INVALID, "only http and https without user names"),
        ("/to?/to?/to?/to?/to?/to?/to?/file", ErrorKind.INVALID, "redirects"),
    ],
)
def test_what_is_refused(server: str, loopback: None, path: str, kind: ErrorKind, text: str) -> None:
    error = refusal(server + path)
    assert (error.kind, error.system) == (kind, "download") and text in error.message
    assert "pw" not in error.message


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "224.0.0.1", "[fe80::1]", "2130706433"]
)
def test_addresses_of_this_host_and_its_link_are_not_asked(host: str) -> None:
    error = refusal(f"http://{host}:9/x")
    assert error.kind is ErrorKind.INVALID and "not fetched from" in error.message


def test_a_redirect_to_such_an_address_is_refused_as_well(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = download._address
    monkeypatch.setattr(download, "_address", lambda host, port: "127.0.0.1" if host == "images.example" else real(host, port))
    port = server.rpartition(":")[2]
    assert "not fetched from" in refusal(f"http://images.example:{port}/to?http://127.0.0.1:{port}/file").message


def test_a_signed_query_is_not_shown(loopback: None) -> None:
    assert "signature" not in refusal("http://images.example:1/x?signature=1").message


def test_the_last_piece_goes_out_only_when_the_checksum_is_right() -> None:
    checksum = f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    said: list[str] = []
    pieces = checked(iter([b"a", b"b", b"c"]), checksum, lambda: said.append("verified"))
    assert [next(pieces), next(pieces)] == [b"a", b"b"] and said == []
    assert next(pieces) == b"c" and said == ["verified"]
    wrong = checked(iter([b"a", b"b", b"x"]), checksum, lambda: said.append("wrong"))
    assert [next(wrong), next(wrong)] == [b"a", b"b"]
    with pytest.raises(ExternalError, match="checksum"):
        next(wrong)
    with pytest.raises(ExternalError, match="longer than 2 bytes"):
        list(checked(iter([b"abc"]), checksum, lambda: None, most=2))
    assert said == ["verified"]


def test_a_transfer_runs_once_at_a_time_and_its_failure_is_told_once() -> None:
    transfers, go, begun = Transfers(2), threading.Event(), []

    def job() -> None:
        begun.append(1)
        go.wait(10)
        if len(begun) == 1:
            raise ExternalError(ErrorKind.TRANSIENT, "download", "broke off")

    assert transfers.run("a", job) is False
    assert transfers.run("a", job) is False
    go.set()
    with pytest.raises(ExternalError, match="broke off"):
        while True:
            assert transfers.run("a", job) is False
    assert transfers.run("a", job) is False
    while not transfers.run("a", job):
        pass
    assert len(begun) == 2
    transfers.close()
