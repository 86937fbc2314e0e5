"""Readiness probes: one attempt each, no waiting."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path


def http(url: str, accept: tuple[int, ...] = (200, 300, 401)) -> bool:
    """True when a GET of ``url`` answers with one of ``accept``; certificates are not looked at, this is loopback."""
    context = ssl._create_unverified_context()
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=5) as response:
            return response.status in accept
    except urllib.error.HTTPError as error:
        return error.code in accept
    except OSError:
        return False


def amqp(host: str, port: int) -> bool:
    """True when a broker answers the protocol header of AMQP 0-9-1 with a method frame (its Connection.Start)."""
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def unix_greeting(path: Path) -> bool:
    """True when something behind a UNIX socket says something first, as MySQL's protocol does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            return bool(connection.recv(1))
    except OSError:
        return False
