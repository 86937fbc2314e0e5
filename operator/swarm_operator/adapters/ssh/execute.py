"""One command in a session channel: stdin, both outputs, exit status, a deadline and a limit on output."""

from __future__ import annotations

import selectors
import shlex
import time
from collections.abc import Iterator, Sequence
from typing import Final

import paramiko

from swarm_operator.adapters.ssh.errors import external
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.ports.hosts import CommandResult

OUTPUT_LIMIT: Final = 4 << 20
"""Bytes of stdout and of stderr that a command may print."""


def command_line(argv: Sequence[str], sudo: bool) -> str:
    """The words quoted for the login shell; with `sudo -n`, which fails rather than ask for a password."""
    return shlex.join([*(("sudo", "-n", "--") if sudo else ()), *argv])


def open_channel(transport: paramiko.Transport, timeout: float) -> paramiko.Channel:
    """A session channel. Raises UNREACHABLE: no command has been sent."""
    try:
        return transport.open_session(timeout=timeout)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise external(ErrorKind.UNREACHABLE, "ssh", "the connection is gone") from error


def _send(channel: paramiko.Channel, stdin: bytes | Iterator[bytes]) -> None:
    """All of stdin, then its end. A command that does not read it to the end has a status that says more than our broken pipe."""
    try:
        for piece in (stdin,) if isinstance(stdin, bytes) else stdin:
            channel.sendall(piece)
        channel.shutdown_write()
    except TimeoutError:
        raise
    except OSError:
        if not channel.exit_status_ready():
            raise


def run(channel: paramiko.Channel, argv: Sequence[str], stdin: bytes | Iterator[bytes], sudo: bool, timeout: float) -> CommandResult:
    """Run and wait. Raises AMBIGUOUS when the command did not end in time or the connection broke in the middle: it may have had its effect.
    Only the first word of the command gets into messages."""
    deadline = time.monotonic() + timeout
    out, err = bytearray(), bytearray()
    try:
        channel.settimeout(timeout)
        channel.exec_command(command_line(argv, sudo))
        _send(channel, stdin)
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            while not (channel.eof_received or channel.closed) or channel.recv_ready() or channel.recv_stderr_ready():
                selector.select(max(0.0, min(1.0, deadline - time.monotonic())))
                if channel.recv_ready():
                    out += channel.recv(65536)
                if channel.recv_stderr_ready():
                    err += channel.recv_stderr(65536)
                if max(len(out), len(err)) > OUTPUT_LIMIT:
                    raise external(ErrorKind.INVALID, "ssh", f"{argv[0]}: printed more than {OUTPUT_LIMIT} bytes")
                if time.monotonic() >= deadline:
                    raise TimeoutError
        if not channel.status_event.wait(max(0.1, deadline - time.monotonic())):
            raise TimeoutError
        status = channel.recv_exit_status()
    except TimeoutError as error:
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{argv[0]}: did not end within {timeout:g} s") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{argv[0]}: the connection broke while it ran") from error
    finally:
        channel.close()
    if status == -1:  # paramiko: the channel closed without an exit status
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{argv[0]}: the connection broke while it ran")
    return CommandResult(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def read(channel: paramiko.Channel, argv: Sequence[str], sudo: bool, timeout: float) -> Iterator[bytes]:
    """stdout of a command, piece by piece. Raises TRANSIENT with what it said where it fails, AMBIGUOUS when it did not end in time."""
    deadline = time.monotonic() + timeout
    try:
        channel.settimeout(60.0)
        channel.exec_command(command_line(argv, sudo))
        channel.shutdown_write()
        while piece := channel.recv(1 << 18):
            yield piece
            if time.monotonic() >= deadline:
                raise TimeoutError
        if not channel.status_event.wait(max(1.0, deadline - time.monotonic())):
            raise TimeoutError
        if (status := channel.recv_exit_status()) != 0:
            raise external(ErrorKind.TRANSIENT, "ssh", f"{argv[0]}: status {status}: {_last_words(channel)}")
    except TimeoutError as error:
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{argv[0]}: did not end in time") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{argv[0]}: the connection broke while it ran") from error
    finally:
        channel.close()


def pipe(source: paramiko.Channel, argv: Sequence[str], target: paramiko.Channel, target_argv: Sequence[str], sudo: bool, timeout: float) -> None:
    """stdout of a command on one host into stdin of a command on another. Raises TRANSIENT with what the failing one said, AMBIGUOUS when it did not end in time."""
    deadline = time.monotonic() + timeout
    what = f"{argv[0]} to {target_argv[0]}"
    try:
        for channel, words in ((source, argv), (target, target_argv)):
            channel.settimeout(60.0)
            channel.exec_command(command_line(words, sudo))
        while piece := source.recv(1 << 18):
            target.sendall(piece)
            if time.monotonic() >= deadline:
                raise TimeoutError
        target.shutdown_write()
        for channel in (source, target):
            if not channel.status_event.wait(max(1.0, deadline - time.monotonic())):
                raise TimeoutError
    except TimeoutError as error:
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{what}: did not end in time") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise external(ErrorKind.AMBIGUOUS, "ssh", f"{what}: {_last_words(source) or _last_words(target) or 'a connection broke while it ran'}") from error
    else:
        for channel, words in ((source, argv), (target, target_argv)):
            if (status := channel.recv_exit_status()) != 0:
                raise external(ErrorKind.TRANSIENT, "ssh", f"{words[0]}: status {status}: {_last_words(channel)}")
    finally:
        source.close()
        target.close()


def _last_words(channel: paramiko.Channel) -> str:
    """What the command printed on stderr, as far as it is here."""
    try:
        return channel.recv_stderr(4096).decode("utf-8", "replace").strip()[:300] if channel.recv_stderr_ready() else ""
    except (OSError, paramiko.SSHException):
        return ""
