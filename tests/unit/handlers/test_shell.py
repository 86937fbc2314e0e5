from __future__ import annotations

import argparse
import io
import re
from pathlib import Path
from typing import Any

import kopf
import pytest

from swarm_operator.__main__ import execute
from swarm_operator.cli.crds import print_crds
from swarm_operator.handlers import settings as flags
from swarm_operator.handlers.settings import Settings
from swarm_operator.handlers.shell import Shell, SilentWatches, count_silent_watches, settings


def test_kopf_writes_nothing() -> None:
    shell = Shell(object(), ("ns",), lambda kind, event_type, body: None, lambda: None)
    registry = shell._registry
    assert len(registry._watching.get_all_handlers()) == 4
    for kind in ("_changing", "_spawning", "_indexing", "_webhooks"):
        assert not getattr(registry, kind).get_all_handlers(), f"handlers of {kind} make kopf write annotations or finalizers"
    chosen = settings()
    assert not chosen.posting.enabled
    assert chosen.scanning.disabled
    assert chosen.peering.standalone
    assert chosen.process.ultimate_exiting_timeout is not None
    assert chosen.process.ultimate_exiting_timeout < 30, "the usual grace of a pod"
    assert isinstance(chosen, kopf.OperatorSettings)


def parse(argv: list[str], environ: dict[str, str]) -> Settings:
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser, environ)
    return flags.from_arguments(parser.parse_args(argv), environ)


def test_flags_come_before_variables_and_those_before_defaults() -> None:
    chosen = parse(["-n", "a", "-n", "b", "-n", "a", "--workers", "3"], {"SWARM_OPERATOR_WORKERS": "9", "SWARM_OPERATOR_LOG_FORMAT": "json"})
    assert (chosen.namespaces, chosen.workers, chosen.log_format, chosen.metrics_address) == (("a", "b"), 3, "json", "127.0.0.1")
    assert parse([], {"SWARM_OPERATOR_NAMESPACES": "x, y", "SWARM_OPERATOR_WORKERS": "9"}).workers == 9
    assert parse([], {"SWARM_OPERATOR_NAMESPACES": "x, y"}).namespaces == ("x", "y")
    assert parse(["-A"], {"SWARM_OPERATOR_NAMESPACES": "x"}).namespaces == ()


def test_watches_that_fell_silent_are_counted_and_no_debug_line_more_is_written() -> None:
    import logging

    counted: list[int] = []
    written: list[str] = []
    root, logger = logging.getLogger(), logging.getLogger(SilentWatches.LOGGER)
    handler = logging.Handler()
    handler.emit = lambda record: written.append(record.getMessage())  # type: ignore[method-assign]
    before = root.level, logger.level, logger.filters[:]
    root.addHandler(handler)
    try:
        root.setLevel("INFO")
        count_silent_watches(lambda: counted.append(0))
        count_silent_watches(lambda: counted.append(1))
        logger.debug("Watch-stream for x is inactive, reconnecting.")
        logger.debug("Starting the watch-stream for x")
        logger.warning("odd")
        assert (counted, written) == ([1], ["odd"])
        root.setLevel("DEBUG")
        logger.debug("Watch-stream for y is inactive, reconnecting.")
        assert (counted, written[1:]) == ([1, 1], ["Watch-stream for y is inactive, reconnecting."])
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        logger.setLevel(before[1])
        logger.filters[:] = before[2]


def test_an_empty_list_means_all_only_where_olm_says_so() -> None:
    assert [parse([], {"WATCH_NAMESPACE": value}).namespaces for value in ("", "a", "a,b")] == [(), ("a",), ("a", "b")]
    assert parse([], {"WATCH_NAMESPACE": "", "SWARM_OPERATOR_NAMESPACES": "x"}).namespaces == ("x",)
    assert parse(["-n", "y"], {"WATCH_NAMESPACE": ""}).namespaces == ("y",)
    with pytest.raises(ValueError):
        parse([], {"SWARM_OPERATOR_NAMESPACES": ""})


def test_operators_of_different_scopes_do_not_share_a_lease() -> None:
    scopes = [["-A"], ["-n", "a"], ["-n", "b"], ["-n", "a", "-n", "b"], ["-A", "--shard", "0/2"], ["-A", "--shard", "1/2"]]
    names = [parse(scope, {}).lease for scope in scopes]
    assert len(set(names)) == len(scopes), names
    assert parse(["-n", "b", "-n", "a"], {}).lease == parse(["-n", "a", "-n", "b"], {}).lease
    assert (parse(["-n", "a"], {}).lease_namespace, parse(["-n", "a"], {"POD_NAMESPACE": "ops"}).lease_namespace) == ("default", "ops")


def test_election_is_on_unless_told_otherwise() -> None:
    assert parse(["-A"], {}).leader_elect
    assert not parse(["-A", "--no-leader-elect"], {}).leader_elect
    assert not parse(["-A"], {"SWARM_OPERATOR_LEADER_ELECT": "false"}).leader_elect
    assert parse(["-A", "--leader-elect"], {"SWARM_OPERATOR_LEADER_ELECT": "0"}).leader_elect
    with pytest.raises(ValueError, match="true or false"):
        parse(["-A"], {"SWARM_OPERATOR_LEADER_ELECT": "maybe"})


def test_the_page_on_operations_names_every_flag_and_no_other() -> None:
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser, {})
    known = {option for action in parser._actions for option in action.option_strings if option.startswith("--")} - {"--help"}
    page = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()
    table = page[page.index("| Flag |") : page.index("## Exit status")]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == known


@pytest.mark.parametrize("text", ["2/2", "a/2", "1", "0/0", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="shard"):
        parse(["-A", "--shard", text], {})


def test_no_scope_or_a_wrong_value_is_refused() -> None:
    with pytest.raises(ValueError):
        parse([], {})
    with pytest.raises(ValueError):
        parse(["-A"], {"SWARM_OPERATOR_LOG_FORMAT": "xml"})
    for argv in (["-A", "--workers", "0"], ["-A", "-n", "x"], ["-A", "--log-level", "LOUD"]):
        with pytest.raises(SystemExit):
            parse(argv, {})


def test_wrong_flags_end_with_2_and_no_login_with_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("SWARM_OPERATOR_NAMESPACES", raising=False)
    with pytest.raises(SystemExit) as ended:
        execute(["run"])
    assert ended.value.code == 2
    assert "--all-namespaces" in capsys.readouterr().err
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        assert execute(["run", "-A", "--metrics-port", "0", "--kubeconfig", str(tmp_path / "none")]) == 1
    finally:
        root.handlers[:], root.level = handlers, level
    assert "no usable Kubernetes login" in capsys.readouterr().err


def test_the_crds_are_printed() -> None:
    out = io.StringIO()
    print_crds(out)
    assert out.getvalue().count("kind: CustomResourceDefinition") == 4
