"""`make demo` and `make demo-down`: the whole path on real parts, from one manifest to a converged swarm.

`up`: brings the lab up (real kube-apiserver, real OpenStack, servers made of namespaces), starts the operator as a process, applies `deploy/examples/demo.yaml`, waits for Ready
and shows the result. Safe to repeat: what is there already is kept. `down`: stops the operator by its pid and takes the lab down. Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "deploy" / "lab" / "lab"
MANIFEST = ROOT / "deploy" / "examples" / "demo.yaml"
NAMESPACE = "demo"
CLUSTER = "demo"
READY_TIMEOUT_SECONDS = 600
BAR = "─" * 100


class Progress:
    """Prints each step with the seconds it took, and keeps them for the summary."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.steps: list[tuple[str, float]] = []

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def done(self, step: str, since: float) -> None:
        """Record a finished step."""
        seconds = time.monotonic() - since
        self.steps.append((step, seconds))
        self.say(f"{step}: done in {seconds:.1f} s")

    def summary(self) -> None:
        """Seconds by step."""
        for step, seconds in self.steps:
            print(f"  {seconds:7.1f} s  {step}")
        print(f"  {time.monotonic() - self.started:7.1f} s  in all")


def lab_environment() -> dict[str, str]:
    """Our environment after `eval "$(lab env)"`."""
    out = subprocess.run(["bash", "-c", 'eval "$("$0" env)" && env -0', str(LAB)], check=True, capture_output=True, text=True).stdout
    return dict(pair.split("=", 1) for pair in out.split("\0") if "=" in pair)


def state_dir() -> Path:
    """Where the demo keeps its pid and log: inside the lab's state, so that it goes with the lab."""
    return Path(os.environ.get("SWARM_LAB_STATE", "/var/lib/swarm-operator-lab")) / "demo"


def kubectl(env: dict[str, str], *args: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl against the lab; its output."""
    done = subprocess.run(["kubectl", *args], env=env, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise SystemExit(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def alive(pid: int) -> bool:
    """Whether the process is our operator."""
    try:
        return b"swarm_operator" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def operator_pid() -> int | None:
    """Pid of the running demo operator."""
    try:
        pid = int((state_dir() / "operator.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid) else None


def start_operator(env: dict[str, str]) -> None:
    """Start the operator detached, unless it runs."""
    if operator_pid() is not None:
        return
    state_dir().mkdir(parents=True, exist_ok=True)
    with (state_dir() / "operator.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "swarm_operator", "run", "--namespace", NAMESPACE, "--log-format", "json"],
            env={**env, "PYTHONPATH": str(ROOT / "operator"), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (state_dir() / "operator.pid").write_text(str(process.pid))


def stop_operator() -> None:
    """SIGTERM, then SIGKILL after 30 s; by pid."""
    pid = operator_pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(300):
        if not alive(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def credentials(env: dict[str, str]) -> None:
    """The Secret that identityRef names, from the lab's clouds.yaml."""
    clouds = Path(env["OS_CLIENT_CONFIG_FILE"]).read_bytes()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cloud-credentials", "namespace": NAMESPACE},
        "data": {"clouds.yaml": base64.b64encode(clouds).decode()},
    }
    kubectl(env, "apply", "-f", "-", stdin=json.dumps(secret))


def wait_ready(env: dict[str, str], progress: Progress) -> None:
    """Follow the cluster and its services until all are Ready; prints each change once."""
    seen: set[str] = set()
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        items: list[dict[str, Any]] = json.loads(kubectl(env, "-n", NAMESPACE, "get", "swarmclusters,swarmservices", "-o", "json"))["items"]
        ready = 0
        for item in items:
            status = item.get("status", {})
            name = f"{item['kind']}/{item['metadata']['name']}"
            for node in status.get("nodes", []):
                report(progress, seen, f"  {node['name']}: {node['phase']}")
            condition = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), None)
            if condition is not None:
                current = condition.get("observedGeneration") == item["metadata"]["generation"]
                ready += condition["status"] == "True" and current
                report(
                    progress, seen, f"{name}: Ready={condition['status']} ({condition['reason']}{': ' + condition['message'] if condition['message'] else ''})"
                )
        if items and ready == len(items):
            return
        time.sleep(1)
    raise SystemExit(
        f"not Ready after {READY_TIMEOUT_SECONDS} s; see {state_dir() / 'operator.log'} and `kubectl -n {NAMESPACE} describe swarmcluster {CLUSTER}`"
    )


def report(progress: Progress, seen: set[str], line: str) -> None:
    """Say a line once."""
    if line not in seen:
        seen.add(line)
        progress.say(line)


def show(env: dict[str, str]) -> None:
    """The converged swarm, and what to try next."""
    print(f"\n{BAR}\n$ kubectl -n {NAMESPACE} get swarmclusters,swarmservices")
    print(kubectl(env, "-n", NAMESPACE, "get", "swarmclusters,swarmservices"))
    manager = f"{CLUSTER}-manager-0"
    for command in ("docker node ls", "docker service ls"):
        print(f"$ {LAB.relative_to(ROOT)} ssh {manager} {command}")
        print(subprocess.run([str(LAB), "ssh", manager, *command.split()], env=env, capture_output=True, text=True, check=False).stdout)
    endpoint = kubectl(env, "-n", NAMESPACE, "get", "swarmcluster", CLUSTER, "-o", "jsonpath={.status.endpoint}")
    address = endpoint.removeprefix("tcp://").rsplit(":", 1)[0]
    print(f"""{BAR}
Try next:
  eval "$({LAB.relative_to(ROOT)} env)"                                      # kubectl, openstack clouds.yaml of the lab
  curl http://{address}:8080/                                         # the global service `web`, on the manager's floating IP
  kubectl -n {NAMESPACE} patch swarmcluster {CLUSTER} --type=json -p '[{{"op":"replace","path":"/spec/workerPools/0/replicas","value":3}}]'
  kubectl -n {NAMESPACE} scale swarmservice hello --replicas=4
  {LAB.relative_to(ROOT)} ssh {manager} docker service scale hello=1            # drift: put back within about a second
  {LAB.relative_to(ROOT)} break kill-host {CLUSTER}-workers-0                     # a dead worker is reset, or else replaced
  kubectl -n {NAMESPACE} get events --sort-by=.lastTimestamp
  kubectl explain swarmcluster.spec
  make demo-down""")


def up() -> None:
    """Everything, from nothing to a converged swarm."""
    progress = Progress()
    since = time.monotonic()
    progress.say("lab up: kube-apiserver, MariaDB, RabbitMQ, Keystone, Glance, Placement, Neutron, Nova, Cinder")
    subprocess.run([str(LAB), "up"], check=True)
    env = lab_environment()
    progress.done("lab up", since)

    since = time.monotonic()
    kubectl(env, "apply", "--server-side", "-f", str(ROOT / "crds"))
    kubectl(env, "wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl(env, "apply", "-f", "-", stdin=json.dumps(namespace))
    credentials(env)
    start_operator(env)
    progress.done("custom resource definitions, credentials, operator started", since)

    since = time.monotonic()
    kubectl(env, "-n", NAMESPACE, "apply", "-f", str(MANIFEST))
    wait_ready(env, progress)
    progress.done("kubectl apply -> every object Ready", since)
    show(env)
    print(f"{BAR}\nTimes:")
    progress.summary()


def down() -> None:
    """Stop the operator, then the lab with all that is in it."""
    stop_operator()
    subprocess.run([str(LAB), "down"], check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["up"]:
        up()
    elif sys.argv[1:] == ["down"]:
        down()
    else:
        raise SystemExit("usage: demo.py up|down")
