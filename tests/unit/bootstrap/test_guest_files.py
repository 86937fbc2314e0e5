"""Files of a manager's TLS engine."""

from __future__ import annotations

import configparser

from swarm_operator.bootstrap.guest_files import DROP_IN_PATH, manager_tls_files


def test_files_and_modes() -> None:
    files = {file.path: file for file in manager_tls_files(b"CA", b"CERT", b"KEY")}
    assert {path: (file.content, file.mode) for path, file in files.items() if path != DROP_IN_PATH} == {
        "/etc/docker/tls/ca.pem": (b"CA", 0o644),
        "/etc/docker/tls/cert.pem": (b"CERT", 0o644),
        "/etc/docker/tls/key.pem": (b"KEY", 0o600),
    }
    assert "KEY" not in repr(files["/etc/docker/tls/key.pem"])
    text = files[DROP_IN_PATH].content.decode()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    assert "--tlsverify" in parser["Service"]["ExecStart"]
    starts = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert starts[0] == "ExecStart=", "the packaged command must be reset first, or systemd refuses a second one"
    assert all(f"/etc/docker/tls/{name}.pem" in starts[1] for name in ("ca", "cert", "key"))
    assert "-H fd:// -H tcp://0.0.0.0:2376" in starts[1]
