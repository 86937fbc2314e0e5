"""A real dockerd for one test run, in a network namespace, mount namespace and directories of its own; everything is gone afterwards.

Needs root, dockerd and iproute2. It is reached over a veth pair that leads nowhere else, with mutual TLS as on a manager.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from integration.engine_packages import NoEngine, unpacked
from swarm_operator.ports.swarm import TlsMaterial

_MINE = os.getpid() % 16384
_BASE = ipaddress.ip_address("10.254.0.0") + 4 * _MINE
_WORKER_BASE = ipaddress.ip_address("10.253.0.0") + 4 * _MINE
HOST, GUEST = str(_BASE + 1), str(_BASE + 2)
NETNS, OUTER = f"swo-engine-{_MINE}", f"swo-eng{_MINE}"
"""One set per test process: runs at the same time do not meet."""
_ENTER = """
mount -t tmpfs none /run
root=$1; shift
[ -n "$root" ] || exec "$@"
mount --bind "$root" "$root"  # the engine changes the flags of its root mount
for part in proc sys dev tmp run; do mount --rbind /$part "$root/$part"; done
PATH=/usr/sbin:/usr/bin exec chroot "$root" "$@"
"""
_UPDATE = re.compile(r'(?:Calling|handling) POST[^\n]*/services/[^/\s"]+/update')
"""The line of moby `daemon/server/middleware/debug.go`: "Calling POST /v1.41/services/ID/update?version=7"."""


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _certificate(
    common_name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Authority:
    """A CA for the test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test ca")])
        self.pem = _certificate(
            "test ca",
            self._key,
            self._name,
            self._key,
            x509.BasicConstraints(ca=True, path_length=0),
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()),
        )

    def issue(self, common_name: str, *, server: bool) -> tuple[bytes, bytes]:
        """Certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        extensions: list[x509.ExtensionType] = [
            x509.ExtendedKeyUsage([usage]),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
        ]
        if server:
            extensions.append(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(GUEST))]))
        return _certificate(common_name, key, self._name, self._key, *extensions), _pem_key(key)


HEARTBEAT_SECONDS: Final = 30
"""Of the swarms here. By default it is 5 s: where the machine is busy for three of them, the node is down for the swarm, and its tasks are made anew."""


class PrivateEngine:
    """Starts on `start`, is stopped by its process id on `stop`. `flags` are further ones for dockerd; `root` is a file system to take it and its command line from
    (`engine_packages`), this machine's when absent."""

    netns = NETNS

    def __init__(self, *flags: str, root: Path | None = None) -> None:
        self._flags, self._root = flags, root
        self.endpoint = f"tcp://{GUEST}:2376"
        sweep()
        self._dir = Path(tempfile.mkdtemp(prefix=f"swo-engine-{os.getpid()}-"))
        self._process: subprocess.Popen[bytes] | None = None
        authority = Authority()
        server_cert, server_key = authority.issue("engine", server=True)
        client_cert, client_key = authority.issue("operator", server=False)
        self.tls = TlsMaterial(authority.pem, client_cert, client_key)
        stranger = Authority().issue("stranger", server=False)
        self.wrong_tls = TlsMaterial(authority.pem, *stranger)
        for name, data in (("ca.pem", authority.pem), ("server.pem", server_cert), ("server-key.pem", server_key)):
            (self._dir / name).write_bytes(data)

    @staticmethod
    def possible() -> bool:
        return os.geteuid() == 0 and shutil.which("dockerd") is not None and shutil.which("ip") is not None

    def start(self) -> None:
        run(["ip", "netns", "delete", NETNS], check=False)
        run(["ip", "link", "delete", OUTER], check=False)
        run(["ip", "netns", "add", NETNS])
        run(["ip", "link", "add", OUTER, "type", "veth", "peer", "name", "eth0", "netns", NETNS])
        run(["ip", "addr", "add", f"{HOST}/30", "dev", OUTER])
        run(["ip", "link", "set", OUTER, "up"])
        for command in (["addr", "add", f"{GUEST}/30", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            run(["ip", "-n", NETNS, *command])
        self.launch()

    def launch(self) -> None:
        """Start dockerd and wait for its socket."""
        d = self._dir
        log = (d / "dockerd.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(
                    "nsenter",
                    f"--net=/run/netns/{self.netns}",
                    "unshare",
                    "--mount",
                    "--uts",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    _ENTER,
                    "sh",
                    str(self._root or ""),
                ),
                *("dockerd", "--data-root", str(d / "data"), "--exec-root", str(d / "exec"), "--pidfile", str(d / "pid"), "-H", f"unix://{d}/docker.sock"),
                *("-H", "tcp://0.0.0.0:2376", "--tlsverify", "--tlscacert", str(d / "ca.pem")),
                *("--tlscert", str(d / "server.pem"), "--tlskey", str(d / "server-key.pem"), "--storage-driver", "vfs"),
                *self._flags,
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while self.docker("version", check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("dockerd did not start:\n" + (d / "dockerd.log").read_text()[-4000:])
            time.sleep(0.2)

    def halt(self) -> None:
        """Stop dockerd, keep the rest."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)

    def docker(self, *args: str, check: bool = True, data: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """The docker command line on this engine: what a human does behind the operator's back."""
        done = subprocess.run([*self._client(), "-H", f"unix://{self._dir}/docker.sock", *args], capture_output=True, timeout=60, check=False, input=data)
        result = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        if check and result.returncode != 0:
            raise RuntimeError(f"docker {' '.join(args)}: {result.stderr}")
        return result

    def _client(self) -> list[str]:
        """The command line of the same version as the engine, by the dynamic linker of its own tree."""
        if self._root is None:
            return ["docker"]
        libraries = self._root / "usr/lib/x86_64-linux-gnu"
        return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(self._root / "usr/bin/docker")]

    def updates(self) -> int:
        """How many `POST /services/{id}/update` the engine has been sent, by whomever: from its own log, which needs `--debug`."""
        return len(_UPDATE.findall((self._dir / "dockerd.log").read_text()))

    def kek_version(self) -> int | None:
        """Since which version of the cluster object the manager's key file is encrypted; None where it is not."""
        text = (self._dir / "data" / "swarm" / "certificates" / "swarm-node.key").read_text()
        found = next((line.partition(":")[2] for line in text.splitlines() if line.startswith("kek-version:")), "0")
        return int(found) if "ENCRYPTED" in text else None

    def init_swarm(self) -> None:
        self.docker("swarm", "init", "--advertise-addr", GUEST, "--dispatcher-heartbeat", f"{HEARTBEAT_SECONDS}s")

    def import_image(self, name: str) -> bool:
        """An image without a registry: a static busybox, where the machine has one."""
        busybox = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if Path(p).exists()), None)
        if busybox is None:
            return False
        root = self._dir / "image"
        for sub in ("bin", "etc", "tmp"):
            (root / sub).mkdir(parents=True, exist_ok=True)
        shutil.copy(busybox, root / "bin/busybox")
        (root / "bin/sh").unlink(missing_ok=True)
        (root / "bin/sh").symlink_to("busybox")
        (root / "bin/sleep").unlink(missing_ok=True)
        (root / "bin/sleep").symlink_to("busybox")
        tar = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout
        self.docker("import", "-c", 'CMD ["sleep","100000"]', "-", name, data=tar)
        return True

    def stop(self) -> None:
        self.docker("swarm", "leave", "--force", check=False)
        self.halt()
        run(["ip", "netns", "delete", NETNS], check=False)
        run(["ip", "link", "delete", OUTER], check=False)
        shutil.rmtree(self._dir, ignore_errors=True)


class PrivateWorker(PrivateEngine):
    """A second engine, in a namespace of its own that leads to the manager's only, joined to its swarm as a worker."""

    netns = f"swo-worker-{_MINE}"

    def join(self, manager: PrivateEngine) -> str:
        """Start it and join; the id of its node."""
        near, far = str(_WORKER_BASE + 1), str(_WORKER_BASE + 2)
        run(["ip", "netns", "delete", self.netns], check=False)
        run(["ip", "netns", "add", self.netns])
        run(["ip", "-n", manager.netns, "link", "add", "worker", "type", "veth", "peer", "name", "eth0", "netns", self.netns])
        run(["ip", "-n", manager.netns, "addr", "add", f"{near}/30", "dev", "worker"])
        run(["ip", "-n", manager.netns, "link", "set", "worker", "up"])
        for command in (
            ["addr", "add", f"{far}/30", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
            ["route", "add", "default", "via", near],
        ):
            run(["ip", "-n", self.netns, *command])
        self.launch()
        token = manager.docker("swarm", "join-token", "-q", "worker").stdout.strip()
        self.docker("swarm", "join", "--advertise-addr", far, "--token", token, f"{GUEST}:2377")
        return self.docker("info", "--format", "{{.Swarm.NodeID}}").stdout.strip()

    def stop(self) -> None:
        self.docker("swarm", "leave", "--force", check=False)
        self.halt()
        run(["ip", "netns", "delete", self.netns], check=False)
        shutil.rmtree(self._dir, ignore_errors=True)


ENGINES: Final = ("installed", "trixie")
"""The engines that tests of fields and updates run on: this machine's, and the one of a newer Debian suite (26.1, API 1.45)."""


@contextmanager
def swarm_of(engine: PrivateEngine, *, image: str | None = None) -> Iterator[PrivateEngine]:
    """Starts the engine as a swarm of one, and stops it at the end. `image`: made of a static busybox; skips the test where there is none."""
    try:
        engine.start()
        engine.init_swarm()
        if image is not None and not engine.import_image(image):
            pytest.skip("no static busybox to make an image of")
        yield engine
    finally:
        engine.stop()


def engine_of(name: str, *flags: str) -> PrivateEngine:
    """One of ENGINES, not started. Skips the test where its packages can't be had."""
    try:
        return PrivateEngine(*flags, root=None if name == "installed" else unpacked(name))
    except NoEngine as reason:
        pytest.skip(str(reason))


def sweep() -> None:
    """Remove what runs that were killed have left: their dockerd ends with them, their directory, namespace and link do not."""
    for directory in Path(tempfile.gettempdir()).glob("swo-engine-*-*"):
        pid = directory.name.split("-")[2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            run(["ip", "netns", "delete", f"swo-engine-{int(pid) % 16384}"], check=False)
            run(["ip", "netns", "delete", f"swo-worker-{int(pid) % 16384}"], check=False)
            run(["ip", "link", "delete", f"swo-eng{int(pid) % 16384}"], check=False)
            shutil.rmtree(directory, ignore_errors=True)


def run(command: list[str], *, check: bool = True) -> None:
    """A command whose output is wanted only when it fails."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode()}")
