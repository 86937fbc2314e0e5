"""`kubectl swarm` over fake objects: what is shown."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_operator.cli import show
from swarm_operator.cli.context import Context
from swarm_operator.cli.plugin import main, parse, parser, seconds
from swarm_operator.cli.view import Style, tree
from swarm_operator.domain.errors import ErrorKind, ExternalError
from unit.cli.fakes import CLUSTER, LOST, SERVICE, STACK, Call, FakeApi, FakeEngine, condition, run

GOLDEN = """\
SwarmCluster shop/main  not ready: NodesDown
├─ managers 1/1  workers 0/1  engine 26.1.5  endpoint tcp://192.0.2.10:2376
├─ Reconciling NodesDown: w-0: heartbeat failure
├─ manager m-0  Ready  10.0.0.2 192.0.2.10
├─ worker w-0  Down  10.0.0.3
│     last repair SoftReboot at 2026-01-01T00:01:00Z, 2 attempt(s)
│     the node is down: heartbeat failure
└─ service web  not ready: Converging  1/2  nginx:1
      Ready Converging: 1 of 2 run
      drift: TaskTemplate.ContainerSpec.Env
      3 task(s) rejected on w-0: No such image: nginx:1
SwarmCluster shop/gone: not there
└─ service lost  not seen by the operator yet  0/0  x
"""


def with_status(**status: Any) -> dict[str, Any]:
    return {**CLUSTER, "status": {**CLUSTER["status"], **status}}


def test_status_is_a_tree() -> None:
    assert run("status") == GOLDEN


def test_what_takes_its_time_has_a_line_and_outdated_machines_a_word() -> None:
    nodes = [{**node, "upToDate": node["role"] == "Manager", "availabilityZone": "az1"} for node in CLUSTER["status"]["nodes"]]
    busy = with_status(
        nodes=nodes,
        adoption={"state": "Observing", "managers": 1, "workers": 2},
        rollout={"state": "Rolling", "updated": 1, "outdated": 1, "message": "main-workers-0: image"},
        authority={"rotating": True, "nodesRenewed": 1, "nodesTotal": 2},
        autolock={"unconfirmed": ["m-0"]},
        conditions=[condition("RolloutHalted", "True", "ServerFailed", "w-1 failed"), condition("Ready", "True", "Reconciled")],
    )
    lines = run("status", "main", "-o", "wide", api=FakeApi(busy)).splitlines()
    assert lines[2:7] == [
        "├─ RolloutHalted ServerFailed: w-1 failed",
        "├─ takeover nothing is changed: 1 manager(s), 2 worker(s) found",
        "├─ rollout Rolling: 1 machine(s) as declared, 1 not  main-workers-0: image",
        "├─ CA is rotated 1 of 2 nodes have new certificates",
        "├─ unlock key not confirmed by m-0",
    ]
    assert "├─ manager m-0  Ready  10.0.0.2 192.0.2.10" in lines and "└─ worker w-0  Down  10.0.0.3  outdated" in lines
    assert sum("zone az1" in line for line in lines) == 2
    still = with_status(adoption={"state": "Adopted"}, rollout={"state": "Complete"}, authority={"rotating": False}, autolock={"enabled": True})
    assert run("status", "main", api=FakeApi(still)) == run("status", "main", api=FakeApi(CLUSTER))


def test_pools_are_in_the_tree_with_their_reason() -> None:
    pool = {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmWorkerPool",
        "metadata": {"namespace": "shop", "name": "apps", "uid": "u9", "generation": 2, "resourceVersion": "1"},
        "spec": {"clusterRef": {"name": "main"}},
        "status": {
            "observedGeneration": 2,
            "summary": "1/2",
            "why": "1 tasks wait for a node",
            "conditions": [condition("Ready", "False", "WorkersPending", "1 of 2 workers are ready")],
        },
    }
    lines = run("status", "main", api=FakeApi(CLUSTER, pool)).splitlines()
    assert lines[-3:] == [
        "└─ pool apps  not ready: WorkersPending  workers 1/2",
        "      Ready WorkersPending: 1 of 2 workers are ready",
        "      1 tasks wait for a node",
    ]
    other = {**pool, "spec": {"clusterRef": {"name": "green"}}}
    assert "pool apps" not in run("status", "main", api=FakeApi(CLUSTER, other))


def test_a_deletion_says_what_is_left() -> None:
    remaining = [{"kind": "server", "id": f"s{n}", "name": f"main-w-{n}" if n else ""} for n in range(7)]
    going = with_status(deletion={"stage": "Servers", "since": "2026-01-01T00:00:00Z", "count": 7, "remaining": remaining})
    assert "├─ deletion Servers: 7 object(s) left  server s0, server main-w-1, server main-w-2, server main-w-3, server main-w-4, ...\n" in run(
        "status", "main", api=FakeApi(going)
    )


def test_stacks_stand_before_the_services_of_their_cluster() -> None:
    lines = run("status", "main", api=FakeApi(CLUSTER, SERVICE, STACK)).splitlines()
    at = lines.index("├─ stack blog  not ready: ServicesNotReady  services 1/2")
    assert lines[at + 1 : at + 4] == [
        "│     Ready ServicesNotReady: blog-db: TasksFailing",
        "│     warning: services.web.build is ignored",
        "└─ service web  not ready: Converging  1/2  nginx:1",
    ]


def test_an_api_server_without_stacks_is_no_failure() -> None:
    class Old(FakeApi):
        def list(self, plural: str, namespace: str | None) -> Any:
            if plural == "swarmstacks":
                raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", "the server could not find the requested resource")
            return super().list(plural, namespace)

    assert run("status", api=Old()) == GOLDEN


def test_wide_adds_ids_and_one_name_leaves_others_out() -> None:
    text = run("status", "main", "-o", "wide")
    assert "server s1  node n1  since 2026-01-01T00:00:00Z" in text
    assert "gone" not in text


def test_colours_change_nothing_but_codes() -> None:
    coloured = tree([CLUSTER], [SERVICE, LOST], Style(True))
    assert "\x1b[31mDown\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == GOLDEN


def test_colours_are_for_terminals_and_no_color_forbids_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in Call("status", terminal=True).out
    assert "\x1b[" not in run("status")
    assert "\x1b[" in run("status", "--color", "always")
    assert "\x1b[" not in Call("status", "--color", "never", terminal=True).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in Call("status", terminal=True).out
    assert "\x1b[" in run("status", "--color", "always")
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[" in Call("status", terminal=True).out, "an empty NO_COLOR says nothing (no-color.org)"


def test_a_new_generation_is_not_called_ready() -> None:
    ready = with_status(conditions=[condition("Ready", "True", "Reconciled")]) | {"metadata": {**CLUSTER["metadata"], "generation": 4}}
    assert "the last change is not seen by the operator yet" in run("status", "main", api=FakeApi(ready))


def test_json_and_yaml_give_the_objects() -> None:
    assert [item["metadata"]["name"] for item in json.loads(run("status", "-o", "json"))["items"]] == ["main", "web", "lost"]
    assert [item["metadata"]["name"] for item in yaml.safe_load(run("status", "main", "-o", "yaml"))["items"]] == ["main", "web"]


def test_events_are_ours_in_order() -> None:
    lines = run("events").splitlines()
    assert [line.split()[2] for line in lines] == ["cluster/main", "service/web"]
    assert lines[0].endswith("R (x2): first")
    assert run("events", "service/web").count("\n") == 1
    assert [item["message"] for item in json.loads(run("events", "main", "-o", "json"))["items"]] == ["first"]


def test_watched_events_are_told_once_each_time_that_they_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Course(FakeApi):
        looks = 0

        def events(self, namespace: str) -> Any:
            self.looks += 1
            if self.looks > 4:
                raise KeyboardInterrupt
            known = super().events(namespace)
            return [{**known[1], "count": 2 if self.looks < 3 else 3}, *known[:1]] if self.looks > 1 else known[1:]

    monkeypatch.setattr(show, "POLL_SECONDS", 0.0)
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        show.events(Context(parse(["events", "-w"]), Course(), "shop", out, io.StringIO(), FakeEngine().open))
    assert [(line.split()[2], line.split()[4]) for line in out.getvalue().splitlines()] == [
        ("cluster/main", "(x2):"),
        ("service/web", "(x2):"),
        ("cluster/main", "(x3):"),
    ]


def test_orphans_are_listed_and_told_by_the_exit_status() -> None:
    orphan = {"kind": "port", "id": "p-1", "name": "10.0.0.7", "firstSeen": "2026-01-01T00:00:00Z"}
    call = Call("orphans", api=FakeApi(with_status(orphans=[orphan])))
    assert call.status == 3
    assert call.out.splitlines() == [
        "CLUSTER  KIND  ID   NAME      FIRST SEEN            POLICY",
        "main     port  p-1  10.0.0.7  2026-01-01T00:00:00Z  Report",
    ]
    document = json.loads(Call("orphans", "main", "-o", "json", api=FakeApi(with_status(orphans=[orphan]))).out)
    assert document == [{"namespace": "shop", "cluster": "main", "policy": "Report", **orphan}]
    assert Call("orphans", "-A", api=FakeApi(with_status(orphans=[orphan]))).out.startswith("NAMESPACE")


def test_no_orphans_is_not_said_for_sure_where_the_operator_could_not_look() -> None:
    assert run("orphans") == "No orphans in namespace shop\n"
    blind = Call("orphans", api=FakeApi(with_status(conditions=[condition("OrphansFound", "Unknown", "CloudUnreachable", "neutron does not answer")])))
    assert blind.status == 0 and "could not look for all of them: neutron does not answer" in blind.err


def test_history_marks_what_applies() -> None:
    lines = run("history", "web").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["3", "applied"], ["2", "2026-01-01T12:00:00Z"], ["1", "2026-01-02T00:00:00Z"]]
    pinned = {**SERVICE, "spec": {**SERVICE["spec"], "rollbackTo": {"revision": 2}}}
    assert "2         pinned" in run("history", "service/web", api=FakeApi(CLUSTER, pinned))


def test_docker_env_writes_the_client_certificate_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "with space"
    text = run("docker-env", "main", "--directory", str(target))
    assert "export DOCKER_HOST=tcp://192.0.2.10:2376\n" in text
    assert f"export DOCKER_CERT_PATH='{target}'\n" in text
    assert sorted(path.name for path in target.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert stat.S_IMODE((target / "key.pem").stat().st_mode) == 0o600


def test_docker_env_needs_an_endpoint() -> None:
    with pytest.raises(ExternalError, match="no endpoint yet"):
        run("docker-env", "main", api=FakeApi({**CLUSTER, "status": {}}))


def test_flags_may_stand_before_the_command_or_after_it() -> None:
    before, after = parser().parse_args(["-n", "a", "--context", "c", "status"]), parser().parse_args(["status", "-n", "a", "--context", "c"])
    assert (before.namespace, before.context, before.color) == (after.namespace, after.context, after.color) == ("a", "c", "auto")
    assert parser().parse_args(["-n", "a", "status", "-n", "b"]).namespace == "b"


def test_durations_are_those_of_kubectl() -> None:
    assert [seconds(text) for text in ("90", "1.5", "90s", "1h30m", "1d", "250ms")] == [90, 1.5, 90, 5400, 86400, 0.25]
    for text in ("", "s", "10x", "-1s", "1h x"):
        with pytest.raises(ValueError):
            seconds(text)


def test_a_failure_is_one_line_and_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["status", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: no usable Kubernetes login")


def test_each_command_has_its_function() -> None:
    verbs = next(action for action in parser()._actions if action.dest == "verb").choices
    assert verbs is not None and len(verbs) >= 23  # type: ignore[arg-type]
    for name, verb in verbs.items():  # type: ignore[attr-defined]
        module, _, function = verb.get_default("run").__qualname__.partition(".")
        if module != "_print_completion":
            assert callable(getattr(importlib.import_module(f"swarm_operator.cli.{module}"), function)), name


def test_a_reader_that_has_enough_is_no_error() -> None:
    """As with `kubectl swarm completion bash | true`: the script is longer than what a pipe without a reader takes, which is nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from swarm_operator.cli.plugin import main; sys.exit(main(['completion', 'bash']))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, env=env, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
