"""A Kubernetes control plane without nodes: etcd, kube-apiserver and kube-controller-manager.

The controller manager is there for what an operator relies on: garbage collection by ownerReferences and deletion of
namespaces. There is no scheduler and no kubelet; the operator runs as a process of the machine.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

from swarmlab import gotools, paths, probe, process, secrets
from swarmlab.errors import LabError
from swarmlab.progress import Progress

SOURCE = paths.LAB_DIR / "kubernetes"
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager")
_VERSION_PACKAGE = "k8s.io/component-base/version"


def programs_dir() -> Path:
    """Where the programs are linked under their own names; ``lab env`` puts it on PATH."""
    return paths.BIN


def ensure_programs(progress: Progress) -> None:
    """Make etcd, kube-apiserver, kube-controller-manager and kubectl available in :func:`programs_dir`.

    Official binaries in ``$KUBEBUILDER_ASSETS`` are taken first; what is missing there comes from one program built from
    the Go module in ``deploy/lab/kubernetes``, kept in the cache until that module changes.
    """
    paths.BIN.mkdir(parents=True, exist_ok=True)
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = {name: Path(assets, name) for name in (*SERVERS, "kubectl") if assets and Path(assets, name).is_file()}
    built = None
    if any(name not in found for name in SERVERS):
        built = _ensure_built(progress)
    for name in (*SERVERS, "kubectl"):
        target = found.get(name) or built
        if target is not None:
            gotools.link(paths.BIN / name, target)


def _ensure_built(progress: Progress) -> Path:
    program = gotools.cached("lab-kubernetes", SOURCE)
    if not program.exists():
        with progress.step("build the Kubernetes control plane from Go modules (7 minutes or so on 2 cores)", announce=True):
            _build(program)
    return program


def _build(program: Path) -> None:
    match = re.search(r"^\s*k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise LabError(f"{SOURCE / 'go.mod'} names no k8s.io/kubernetes release")
    major, minor, patch = match.groups()
    stamps = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(["-s", "-w", *(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in stamps.items())])
    gotools.build(program, SOURCE, "-ldflags", flags)


def configure() -> None:
    """Write keys, tokens and configuration that the servers need before their start."""
    directory = paths.ETC / "kubernetes"
    directory.mkdir(parents=True, exist_ok=True)
    key = directory / "service-account.key"
    if not key.exists():
        unfinished = key.with_suffix(".unfinished")
        argv = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(unfinished)]
        process.run(argv, name="kubernetes-configure")
        unfinished.rename(key)
    tokens = directory / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{secrets.get("kubernetes-admin")},lab-admin,lab-admin,"system:masters"\n')


def etcd() -> process.Service:
    """etcd. It need not survive a power cut, so it does not wait for the disk."""
    client, peer = (f"http://{paths.LOOPBACK}:{port}" for port in (paths.PORT_ETCD_CLIENT, paths.PORT_ETCD_PEER))
    argv = [
        str(paths.BIN / "etcd"),
        f"--data-dir={paths.STATE / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    return process.Service("etcd", argv, lambda: probe.http(f"{client}/health"))


def apiserver() -> process.Service:
    """kube-apiserver with RBAC. It makes its own serving certificate; :func:`write_kubeconfig` trusts that one alone."""
    directory = paths.ETC / "kubernetes"
    address = f"https://{paths.LOOPBACK}:{paths.PORT_KUBE_APISERVER}"
    argv = [
        str(paths.BIN / "kube-apiserver"),
        f"--etcd-servers=http://{paths.LOOPBACK}:{paths.PORT_ETCD_CLIENT}",
        f"--bind-address={paths.LOOPBACK}",
        f"--advertise-address={paths.LOOPBACK}",
        f"--secure-port={paths.PORT_KUBE_APISERVER}",
        f"--cert-dir={directory}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        f"--service-account-key-file={directory / 'service-account.key'}",
        f"--service-account-signing-key-file={directory / 'service-account.key'}",
        f"--service-account-issuer={address}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",  # nobody here can reach the Service `kubernetes`
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
    ]
    return process.Service("kube-apiserver", argv, lambda: probe.http(f"{address}/readyz"))


def controller_manager() -> process.Service:
    """kube-controller-manager with the few controllers that have work in a cluster without nodes."""
    wanted = (
        "garbage-collector-controller",
        "namespace-controller",
        "serviceaccount-controller",
        "clusterrole-aggregation-controller",
    )
    argv = [
        str(paths.BIN / "kube-controller-manager"),
        f"--kubeconfig={paths.KUBECONFIG}",
        f"--controllers={','.join(wanted)}",
        f"--bind-address={paths.LOOPBACK}",
        "--secure-port=0",
        "--leader-elect=false",
    ]
    return process.Service("kube-controller-manager", argv, None)


def write_kubeconfig() -> None:
    """Write the administrator's kubeconfig; the API server must have started once, for its certificate."""
    authority = (paths.ETC / "kubernetes" / "apiserver.crt").read_bytes()
    server = f"https://{paths.LOOPBACK}:{paths.PORT_KUBE_APISERVER}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab-admin"}}],
        "clusters": [
            {
                "name": "lab",
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()},
            }
        ],
        "users": [{"name": "lab-admin", "user": {"token": secrets.get("kubernetes-admin")}}],
    }
    paths.KUBECONFIG.touch(mode=0o600)
    paths.KUBECONFIG.write_text(json.dumps(config, indent=2) + "\n")
