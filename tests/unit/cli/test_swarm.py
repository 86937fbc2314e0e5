"""What the commands show of a swarm, and what they do to its nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm_operator.adapters.docker.user import Line, frames_of, lines, parse_line
from swarm_operator.cli import swarm
from swarm_operator.cli.swarm import _ago
from swarm_operator.domain.errors import ExternalError
from unit.cli.fakes import CLUSTER, Call, FakeApi, FakeEngine, node, run


def test_ps_shows_tasks_by_slot_the_newest_first() -> None:
    rows = [line.split() for line in run("ps", "web").splitlines()]
    assert rows[0] == ["TASK", "NODE", "DESIRED", "STATE", "SINCE", "ERROR"]
    assert [row[:4] for row in rows[1:]] == [
        ["web.1", "m-0", "running", "running"],
        ["web.2", "w-0", "running", "running"],
        ["web.2", "w-0", "shutdown", "failed"],
    ]
    assert rows[3][-2:] == ["exit", "1"]
    assert [line.split()[0] for line in run("ps", "web", "--current").splitlines()[1:]] == ["web.1", "web.2"]


def test_ps_gives_ids_when_wide_and_the_engines_own_words_as_json() -> None:
    assert run("ps", "web", "-o", "wide").splitlines()[1].split()[-2:] == ["t1", "nginx:1"]
    assert [task["ID"] for task in json.loads(run("ps", "web", "-o", "json"))] == ["t1", "t2", "t0"]


def test_the_swarm_is_asked_with_the_users_certificate_and_never_with_the_authoritys_key() -> None:
    engine = FakeEngine()
    run("ps", "web", engine=engine)
    (endpoints, tls), closed = engine.opened[0], engine.closed
    assert endpoints == ["tcp://192.0.2.10:2376"] and (tls.ca, tls.cert, tls.key) == (b"ca", b"cert", b"key") and closed == 1


def test_all_managers_that_are_ready_can_be_asked() -> None:
    managers = [{**CLUSTER["status"]["nodes"][1], "name": f"m-{n}", "floatingIP": f"192.0.2.1{n}"} for n in range(3)]
    managers[2]["phase"] = "Down"
    engine = FakeEngine()
    run("top", "main", api=FakeApi({**CLUSTER, "status": {**CLUSTER["status"], "nodes": managers}}), engine=engine)
    assert engine.opened[0][0] == ["tcp://192.0.2.10:2376", "tcp://192.0.2.11:2376"]


def test_a_swarm_of_somebody_else_is_asked_where_and_as_its_spec_says() -> None:
    external = {"endpoints": ["tcp://a.example:2376", "tcp://b.example:2376"], "tlsSecretRef": {"name": "theirs"}}
    api, engine = FakeApi({**CLUSTER, "spec": {"external": external}, "status": {}}), FakeEngine()
    api.secrets = {"theirs": {"ca.pem": b"their ca", "cert.pem": b"cert", "key.pem": b"key"}}
    run("top", "main", api=api, engine=engine)
    assert engine.opened[0][0] == external["endpoints"] and engine.opened[0][1].ca == b"their ca"


@pytest.mark.parametrize("command", ["top", "docker-env"])
def test_a_secret_that_lacks_a_key_is_named(command: str, tmp_path: Path) -> None:
    api = FakeApi()
    del api.secrets["main-docker-tls"]["key.pem"]
    with pytest.raises(ExternalError, match=r"Secret .*/main-docker-tls lacks one of ca\.pem, cert\.pem, key\.pem"):
        run(command, "main", *(("--directory", str(tmp_path / "tls")) if command == "docker-env" else ()), api=api)
    assert not (tmp_path / "tls").exists()


def test_a_service_that_is_not_in_the_swarm_is_told() -> None:
    with pytest.raises(ExternalError, match="not in the swarm yet"):
        run("ps", "lost")


def test_top_counts_tasks_and_what_they_reserve() -> None:
    rows = [line.split() for line in run("top", "main").splitlines()[1:]]
    assert rows == [
        ["m-0", "leader", "ready", "active", "1", "0", "0.5/4", "256/8192"],
        ["w-0", "worker", "ready", "active", "1", "1", "0.5/4", "256/8192"],
    ]
    assert json.loads(run("top", "main", "-o", "json"))[1]["failedTasks"] == 1


def test_drain_and_undrain_set_the_availability_once() -> None:
    engine = FakeEngine()
    run("drain", "w-0", engine=engine)
    engine.found[1]["Spec"]["Availability"] = "drain"
    run("drain", "w-0", engine=engine)
    run("undrain", "w-0", engine=engine)
    assert engine.writes == [("n2", "drain"), ("n2", "active")]


def test_a_drain_of_the_operator_is_not_undone() -> None:
    engine = FakeEngine()
    engine.found[1] = node("n2", "w-0", Availability="drain", Labels={"io.swarmops.drained-at": "2026-01-01T00:00:00Z"})
    with pytest.raises(ExternalError, match="the operator itself drains machine w-0"):
        run("undrain", "w-0", engine=engine)
    assert engine.writes == []


def test_drain_waits_until_the_machine_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm, "POLL_SECONDS", 0.0)
    engine = FakeEngine()
    engine.emptying = [2, 2, 1]
    call = Call("drain", "w-0", "--wait", engine=engine)
    assert call.out.endswith("machine w-0 is empty\n") and call.err == "1 task(s) left\n"
    with pytest.raises(ExternalError, match="still has 1 task"):
        run("drain", "w-0", "--wait", "--timeout", "0")


def test_a_machine_that_is_no_node_is_told_with_its_phase() -> None:
    engine = FakeEngine()
    del engine.found[1]
    with pytest.raises(ExternalError, match="not a node of the swarm: Down"):
        run("drain", "w-0", engine=engine)


def test_logs_carry_task_and_node_and_keep_the_streams_apart() -> None:
    engine = FakeEngine()
    engine.said = [Line("t1", "n1", "stdout", "hello"), Line("t2", "n2", "stderr", "oh", "2026-01-01T00:00:00Z"), Line("new", "n2", "stdout", "late")]
    call = Call("logs", "web", engine=engine)
    assert call.out == "web.1@m-0 | hello\nnew@w-0 | late\n"
    assert call.err == "web.2@w-0 | 2026-01-01T00:00:00Z oh\n"
    assert engine.asked == {"service": "svc1", "follow": False, "tail": "all", "since": 0, "times": False}
    assert run("logs", "web", "--raw", engine=engine) == "hello\nlate\n"
    run("logs", "web", "-f", "-t", "--tail", "5", "--since", "1h", engine=engine)
    assert engine.asked["follow"] and engine.asked["times"] and engine.asked["tail"] == "5" and engine.asked["since"] > 1_700_000_000


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
def test_frames_are_found_however_they_are_cut(size: int) -> None:
    whole = frame(1, b"one\n") + frame(2, b"") + frame(2, "zwö\n".encode()) + frame(3, b"node n9 is not available")
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert [(stream, data.decode()) for stream, data in frames_of(chunks)] == [
        ("stdout", "one\n"),
        ("stderr", ""),
        ("stderr", "zwö\n"),
        ("system", "node n9 is not available"),
    ]


def test_a_stream_that_breaks_off_is_no_end() -> None:
    with pytest.raises(ExternalError, match="broke the stream"):
        list(frames_of([frame(1, b"hello\n")[:-2]]))


def test_lines_of_a_terminal_are_found_however_they_are_cut() -> None:
    assert list(lines([b"a\nb", b"c\n", b"", b"\nd"])) == [b"a", b"bc", b"", b"d"]


def test_lines_are_parsed_with_and_without_times() -> None:
    details = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t1"
    assert parse_line("stdout", f"{details} a = b,c\n", False) == Line("t1", "n1", "stdout", "a = b,c")
    assert parse_line("stdout", f"2026-01-01T00:00:00.1Z {details} x\r\n", True) == Line("t1", "n1", "stdout", "x", "2026-01-01T00:00:00.1Z")
    assert parse_line("stdout", f"{details} \n", False) == Line("t1", "n1", "stdout", "")
    assert parse_line("stdout", "no details", False) == Line("", "", "stdout", "no details")
    assert parse_line("system", "node n9 is not available", True) == Line("", "", "system", "node n9 is not available")


def test_ages_are_in_the_largest_unit_that_says_enough() -> None:
    assert _ago("not a time") == "not a time"
    assert _ago("2020-01-01T00:00:00.123456789Z").endswith("d")
    assert _ago("2999-01-01T00:00:00Z") == "0s"
