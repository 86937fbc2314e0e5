"""Logins kept open between calls.

A reconcile makes several short calls to a guest, and the next reconcile of the same cluster comes within seconds: a login costs three round trips and a signature, through a
jump host twice that. So a login stays open for a minute after its last use, and is shared by threads (ssh carries many channels). Dead peers are noticed by keepalives.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import paramiko

from swarm_operator.adapters.ssh.transport import load_private_key, log_in
from swarm_operator.ports.hosts import HostTarget

IDLE_SECONDS: Final = 60.0


@dataclass
class Login:
    """A pooled connection. `users` counts open Hosts and logins that go through it."""

    target: HostTarget
    transport: paramiko.Transport
    jump: Login | None
    key_digest: str
    users: int = 0
    idle_since: float = field(default=0.0)

    def alive(self) -> bool:
        """Whether it, and all that it goes through, is still connected, as far as is known."""
        return self.transport.is_active() and self.transport.is_authenticated() and (self.jump is None or self.jump.alive())


class LoginPool:
    """Takes and gives back logins, by target and private key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logins: dict[tuple[HostTarget, str], Login] = {}
        self._opening: dict[tuple[HostTarget, str], threading.Lock] = {}

    def take(self, target: HostTarget, private_key: bytes, timeout: float) -> Login:
        """A live login; opened when there is none. Raises as `ports.hosts.Hosts.connect`."""
        self._sweep()
        digest = hashlib.sha256(private_key).hexdigest()
        name = (target, digest)
        with self._lock:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:  # two threads must not open the same login twice; other logins are not held up
            with self._lock:
                held = self._logins.get(name)
                if held is not None and held.alive():
                    held.users += 1
                    return held
                dead = self._logins.pop(name, None)
            if dead is not None:
                self._close(dead)
            key = load_private_key(private_key)
            jump = self.take(target.jump, private_key, timeout) if target.jump is not None else None
            try:
                transport = log_in(target, key, timeout, jump.transport if jump is not None else None)
            except BaseException:
                if jump is not None:
                    self.give_back(jump)
                raise
            login = Login(target, transport, jump, digest, users=1)
            with self._lock:
                self._logins[name] = login
            return login

    def give_back(self, login: Login) -> None:
        """The caller is done with it."""
        with self._lock:
            login.users -= 1
            login.idle_since = self._clock()
            stale = login.users <= 0 and self._logins.get((login.target, login.key_digest)) is not login
        if stale:
            self._close(login)
        self._sweep()

    def discard(self, login: Login) -> None:
        """It does not work any more: no one is given it again."""
        with self._lock:
            if self._logins.get((login.target, login.key_digest)) is login:
                del self._logins[(login.target, login.key_digest)]
        login.transport.close()

    def any_login(self, target: HostTarget) -> Login | None:
        """A live login to the target, whatever its key; counts as taken."""
        with self._lock:
            for (held, _), login in self._logins.items():
                if held == target and login.alive():
                    login.users += 1
                    return login
        return None

    def close(self) -> None:
        """Close all."""
        with self._lock:
            logins, self._logins = list(self._logins.values()), {}
        for login in logins:
            login.transport.close()

    def _sweep(self) -> None:
        """Close what has been idle for long. Called on every use: an idle operator keeps at most its last logins."""
        now = self._clock()
        with self._lock:
            stale = [name for name, login in self._logins.items() if login.users <= 0 and (now - login.idle_since >= IDLE_SECONDS or not login.alive())]
            closing = [self._logins.pop(name) for name in stale]
            for name in [name for name, lock in self._opening.items() if name not in self._logins and not lock.locked()]:
                del self._opening[name]
        for login in closing:
            self._close(login)

    def _close(self, login: Login) -> None:
        login.transport.close()
        jump, login.jump = login.jump, None
        if jump is not None:
            with self._lock:
                jump.users -= 1
                jump.idle_since = self._clock()
