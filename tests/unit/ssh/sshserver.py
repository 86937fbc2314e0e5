"""An ssh server on loopback (paramiko's server side) that runs commands for real in a shell, with `sudo` and `docker` of a directory of stand-ins, and forwards TCP."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import threading
from pathlib import Path

import paramiko

from swarm_operator.bootstrap.keys import SshKeyPair, new_ssh_keypair


class SshServer:
    """`host_keys` are what it offers; `user_key` may log in."""

    def __init__(self, directory: Path, user_key: SshKeyPair, host_keys: list[paramiko.PKey] | None = None) -> None:
        self.pair = new_ssh_keypair("host")
        self.host_keys: list[paramiko.PKey] = host_keys or [paramiko.Ed25519Key.from_private_key(io.StringIO(self.pair.private.decode()))]
        self.user_key = user_key
        self.directory = directory
        self.logins = 0
        self.commands: list[str] = []
        self.transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def public(self) -> tuple[str, ...]:
        return tuple(f"{key.get_name()} {key.get_base64()}" for key in self.host_keys)

    def break_connections(self) -> None:
        for transport in self.transports:
            transport.close()
        self.transports.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread, which would take one more connection
        self._listener.close()
        self.break_connections()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            for key in self.host_keys:
                transport.add_server_key(key)
            self.transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(server=_Session(self))


class _Session(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self.server = server
        self.forwards: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        fits = username == "debian" and key.get_base64() == self.server.user_key.public.split()[1]
        self.server.logins += fits
        return paramiko.common.AUTH_SUCCESSFUL if fits else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]) -> int:
        try:
            peer = socket.create_connection(destination, 2)
        except OSError:
            return paramiko.common.OPEN_FAILED_CONNECT_FAILED
        threading.Thread(target=self._forward, args=(chanid, peer), daemon=True).start()
        return paramiko.common.OPEN_SUCCEEDED

    def _forward(self, chanid: int, peer: socket.socket) -> None:
        transport = next(t for t in self.server.transports if t.server_object is self)
        channel = transport.accept(5)
        if channel is None:
            return

        def pump(read: object, write: object) -> None:
            with contextlib.suppress(OSError, EOFError):
                while data := read(32768):  # type: ignore[operator]
                    write(data)  # type: ignore[operator]
            peer.close()
            with contextlib.suppress(OSError, EOFError):
                channel.close()

        threading.Thread(target=pump, args=(peer.recv, channel.sendall), daemon=True).start()
        pump(channel.recv, peer.sendall)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.commands.append(command.decode())
        threading.Thread(target=self._execute, args=(channel, command.decode()), daemon=True).start()
        return True

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        environment = {"PATH": f"{self.server.directory}:{os.environ['PATH']}", "HOME": "/nonexistent"}
        process = subprocess.Popen(["sh", "-c", command], stdin=-1, stdout=-1, stderr=-1, env=environment, bufsize=0)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None

        def feed() -> None:
            with contextlib.suppress(OSError, EOFError):
                while data := channel.recv(32768):
                    process.stdin.write(data)  # type: ignore[union-attr]
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]

        def copy(stream: io.RawIOBase, send: object) -> None:
            with contextlib.suppress(OSError, EOFError):
                while data := stream.read(32768):
                    send(data)  # type: ignore[operator]

        threads = [
            threading.Thread(target=copy, args=(process.stdout, channel.sendall)),
            threading.Thread(target=copy, args=(process.stderr, channel.sendall_stderr)),
        ]
        threading.Thread(target=feed, daemon=True).start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with contextlib.suppress(OSError, EOFError):
            channel.send_exit_status(process.wait())
            channel.shutdown_write()
            channel.close()
