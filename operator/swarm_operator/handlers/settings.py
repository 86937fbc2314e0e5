"""What can be set from outside: flags, and environment variables as their defaults. The only reader of argv and of our environment variables."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm_operator.handlers.sharding import Shard
from swarm_operator.telemetry.logs import Format

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Settings:
    """Settings of `run`. `namespaces` is empty for all; times are in seconds; a `metrics_port` of 0 takes any free one."""

    namespaces: tuple[str, ...] = ()
    kubeconfig: str | None = None
    workers: int = 16
    group_limit: int = 4
    resync_seconds: float = 300.0
    watch_patience_seconds: float = 120.0
    startup_seconds: float = 60.0
    shutdown_seconds: float = 20.0
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 8080
    log_format: Format = "text"
    log_level: str = "INFO"
    leader_elect: bool = True
    lease_namespace: str = "default"
    lease_name: str | None = None
    leader_identity: str | None = None
    shard: Shard | None = None
    otlp_endpoint: str | None = None

    @property
    def lease(self) -> str:
        """Name of the Lease. By default it tells what is served: operators of different namespaces or shards must not stand against each other."""
        base = self.lease_name or default_lease_name(self.namespaces)
        return base if self.shard is None else f"{base}-{self.shard.index}-of-{self.shard.count}"


def default_lease_name(namespaces: tuple[str, ...]) -> str:
    """One name per set of served namespaces."""
    if not namespaces:
        return "swarm-operator"
    if len(namespaces) == 1:
        return f"swarm-operator-{namespaces[0]}"
    return f"swarm-operator-{hashlib.sha256(','.join(sorted(namespaces)).encode()).hexdigest()[:16]}"


def own_namespace(environ: Mapping[str, str], path: Path = _POD_NAMESPACE) -> str:
    """Where we run: our pod's namespace; "default" outside of a cluster. Never a served namespace as such: while that is being deleted, no Lease can be made in it."""
    if environ.get("POD_NAMESPACE"):
        return environ["POD_NAMESPACE"]
    try:
        return path.read_text().strip() or "default"
    except OSError:
        return "default"


def add_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """The flags of `run`; each has a variable SWARM_OPERATOR_<FLAG> as its default."""
    base = Settings()

    def default(flag: str, value: object) -> str:
        return environ.get(f"SWARM_OPERATOR_{flag}", str(value))

    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--namespace", "-n", action="append", metavar="N", help="namespace to serve; may be repeated (SWARM_OPERATOR_NAMESPACES, by commas)")
    scope.add_argument("--all-namespaces", "-A", action="store_true", help="serve all namespaces")
    parser.add_argument(
        "--kubeconfig", default=environ.get("SWARM_OPERATOR_KUBECONFIG"), help="default: the pod's service account, $KUBECONFIG, ~/.kube/config"
    )
    parser.add_argument("--workers", type=_positive, default=default("WORKERS", base.workers), help="objects reconciled at once (%(default)s)")
    parser.add_argument(
        "--workers-per-cluster",
        type=_positive,
        default=default("WORKERS_PER_CLUSTER", base.group_limit),
        help="of these, services of one cluster (%(default)s)",
    )
    parser.add_argument("--resync-seconds", type=float, default=default("RESYNC_SECONDS", base.resync_seconds), help="period of the full list (%(default)s)")
    parser.add_argument("--shutdown-seconds", type=float, default=default("SHUTDOWN_SECONDS", base.shutdown_seconds), help="given to running work at the end")
    parser.add_argument("--metrics-address", default=default("METRICS_ADDRESS", base.metrics_address), help="of /metrics, /livez, /readyz (%(default)s)")
    parser.add_argument("--metrics-port", type=int, default=default("METRICS_PORT", base.metrics_port), help="0: any free port (%(default)s)")
    parser.add_argument(
        "--otlp-endpoint",
        default=environ.get("SWARM_OPERATOR_OTLP_ENDPOINT"),
        metavar="URL",
        help="send traces to this OpenTelemetry collector, OTLP over HTTP (off)",
    )
    parser.add_argument("--log-format", choices=("json", "text"), default=default("LOG_FORMAT", base.log_format))
    parser.add_argument("--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"), default=default("LOG_LEVEL", base.log_level))
    parser.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=default("LEADER_ELECT", base.leader_elect),
        help="work only while holding a Lease, so that several replicas may run (on)",
    )
    parser.add_argument("--lease-namespace", default=default("LEASE_NAMESPACE", own_namespace(environ)), help="where the Lease is (%(default)s)")
    parser.add_argument(
        "--lease-name", default=environ.get("SWARM_OPERATOR_LEASE_NAME"), help="default: swarm-operator, with the served namespace where it is one"
    )
    parser.add_argument(
        "--leader-identity",
        default=environ.get("SWARM_OPERATOR_LEADER_IDENTITY"),
        help="name in the Lease, unique among running processes; one that starts again under its name leads at once (host name and random digits)",
    )
    parser.add_argument("--shard", default=environ.get("SWARM_OPERATOR_SHARD"), metavar="I/N", help="serve only part I of N (from 0) of the clusters")


def from_arguments(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """The Settings of parsed flags. Raises ValueError when neither namespaces nor all of them were asked for.

    WATCH_NAMESPACE is the convention of the Operator Lifecycle Manager, by which an empty value means all namespaces; ours, where it is not empty, and flags go before it.
    """
    names = arguments.namespace or _names(environ.get("SWARM_OPERATOR_NAMESPACES", ""))
    if arguments.all_namespaces:
        names = []
    elif not names and "WATCH_NAMESPACE" in environ:
        names = _names(environ["WATCH_NAMESPACE"])
    elif not names:
        raise ValueError("give --namespace or --all-namespaces")
    if arguments.log_format not in ("json", "text"):
        raise ValueError(f"log format {arguments.log_format!r} is neither json nor text")
    if arguments.otlp_endpoint and not arguments.otlp_endpoint.startswith(("http://", "https://")):
        raise ValueError(f"--otlp-endpoint is http://... or https://..., not {arguments.otlp_endpoint!r}")
    shard = Shard.parse(arguments.shard) if arguments.shard else None
    return Settings(
        namespaces=tuple(dict.fromkeys(names)),
        kubeconfig=arguments.kubeconfig,
        workers=arguments.workers,
        group_limit=arguments.workers_per_cluster,
        resync_seconds=arguments.resync_seconds,
        shutdown_seconds=arguments.shutdown_seconds,
        metrics_address=arguments.metrics_address,
        metrics_port=arguments.metrics_port,
        log_format=arguments.log_format,
        log_level=arguments.log_level,
        leader_elect=_truth(arguments.leader_elect),
        lease_namespace=arguments.lease_namespace,
        lease_name=arguments.lease_name,
        leader_identity=arguments.leader_identity,
        shard=shard,
        otlp_endpoint=arguments.otlp_endpoint or None,
    )


def _names(text: str) -> list[str]:
    """Those of a list by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _truth(value: bool | str) -> bool:
    """Of a flag, or of its variable."""
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise ValueError(f"SWARM_OPERATOR_LEADER_ELECT must be true or false, not {value!r}")
    return text in ("true", "1")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
