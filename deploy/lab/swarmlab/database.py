"""MariaDB: the databases of the OpenStack services, on a UNIX socket only."""

from __future__ import annotations

from pathlib import Path

from swarmlab import paths, probe, process

SCHEMAS = ("keystone", "glance", "placement", "neutron", "nova_api", "nova_cell0", "nova", "cinder")


def socket_path() -> Path:
    """The server's only door; its directory is open to root alone, so it needs no password."""
    return paths.RUN / "mariadb.sock"


def url(schema: str) -> str:
    """SQLAlchemy's address of one database."""
    return f"mysql+pymysql://root@localhost/{schema}?unix_socket={socket_path()}"


def service(datadir: Path) -> process.Service:
    """The server on a data directory. Durability is given up for speed: a lab does not outlive its machine."""
    argv = [
        "/usr/sbin/mariadbd",
        "--no-defaults",
        "--user=root",
        f"--datadir={datadir}",
        f"--socket={socket_path()}",
        f"--pid-file={paths.RUN / 'mariadbd.own-pid'}",
        "--skip-networking",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--performance-schema=off",
        "--max-connections=1000",
        "--character-set-server=utf8mb3",
        "--innodb-buffer-pool-size=256M",
        "--innodb-log-file-size=32M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--innodb-flush-method=nosync",
        "--innodb-use-native-aio=0",
        "--innodb-fast-shutdown=1",
    ]
    return process.Service("mariadb", argv, lambda: probe.unix_greeting(socket_path()), timeout=30)


def initialise(datadir: Path) -> None:
    """Make an empty data directory with MariaDB's own tables."""
    datadir.mkdir(parents=True)
    argv = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={datadir}", "--skip-test-db"]
    process.run([*argv, "--auth-root-authentication-method=normal"], name="mariadb-install")


def create_schemas() -> None:
    """Create the services' databases where they do not exist yet."""
    sql = "".join(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb3;" for name in SCHEMAS)
    process.run(["mariadb", "--no-defaults", f"--socket={socket_path()}", "--user=root"], name="mariadb-install", stdin=sql)
