"""What shells are offered, by kubectl and by the scripts."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.cli.completion import FILES, NO_FILES, SHELLS, complete
from swarm_operator.cli.plugin import main, parser
from swarm_operator.domain.errors import ErrorKind, ExternalError
from unit.cli.fakes import CLUSTER, LOST, SERVICE, STACK, FakeApi

ROOT = Path(__file__).resolve().parents[3]


class Names(FakeApi):
    def namespaces(self) -> list[str]:
        return ["default", "shop"]


def offered(*words: str, asked: list[argparse.Namespace] | None = None) -> tuple[list[str], int]:
    def opened(arguments: argparse.Namespace) -> tuple[Any, str]:
        if asked is not None:
            asked.append(arguments)
        return Names(CLUSTER, SERVICE, LOST, STACK), arguments.namespace or "shop"

    candidates, directive = complete(parser(), words, opened, lambda: ["lab", "prod"])
    return [candidate.split("\t")[0] for candidate in candidates], directive


def test_commands_are_offered_with_what_they_do() -> None:
    assert offered("re") == (["report", "resume", "restart", "replace", "renew"], NO_FILES)
    candidates, _ = complete(parser(), ["top"], lambda arguments: (Names(), ""), list)
    assert candidates == ["top\tmachines with their tasks and what these have reserved"]
    assert len(offered("")[0]) > 15


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("ps", ""), ["web", "lost"]),
        (("restart", "web", "l"), ["lost"]),
        (("top", "m"), ["main"]),
        (("drain", ""), ["w-0", "m-0"]),
        (("ssh", "m"), ["m-0"]),
        (("pause", ""), ["main", "service/web", "service/lost", "stack/blog"]),
        (("pause", "service/w"), ["service/web"]),
        (("-n", "other", "ps", "w"), ["web"]),
        (("drain", "--cluster", ""), ["main"]),
        (("completion", "z"), ["zsh"]),
        (("rotate", "m"), ["main"]),
        (("rotate", "main", "ca", ""), ["join-tokens", "unlock-key"]),
        (("status", "-o", ""), ["tree", "wide", "json", "yaml"]),
        (("status", "--output=j"), ["--output=json"]),
        (("status", "--context", "p"), ["prod"]),
        (("status", "-n", ""), ["default", "shop"]),
        (("logs", "web", "--ta"), ["--tail"]),
        (("logs", "-f", "w"), ["web"]),
    ],
)
def test_names_and_values_are_offered(words: tuple[str, ...], wanted: list[str]) -> None:
    assert offered(*words) == (wanted, NO_FILES)


def test_files_are_left_to_the_shell() -> None:
    assert offered("plan", "-f", "") == ([], FILES)
    assert offered("report", "main", "--file", "x") == ([], FILES)


def test_names_are_asked_for_where_the_line_says() -> None:
    asked: list[argparse.Namespace] = []
    offered("ps", "--context", "prod", "--namespace=a", "", asked=asked)
    offered("ps", "--context", "", asked=asked)
    assert [(entry.context, entry.namespace) for entry in asked] == [("prod", "a")]


def test_a_server_that_refuses_offers_nothing() -> None:
    def refuse(arguments: argparse.Namespace) -> tuple[Any, str]:
        raise ExternalError(ErrorKind.UNREACHABLE, "kubernetes", "no")

    for words in (["ps", ""], ["ps", "-n", ""], ["drain", ""]):
        assert complete(parser(), words, refuse, list) == ([], NO_FILES)


def test_the_scripts_are_printed_without_a_kubeconfig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shell, text in SHELLS.items():
        assert main(["completion", shell, "--kubeconfig", str(tmp_path / "none")]) == 0
        assert capsys.readouterr().out == text


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both scripts, of this source tree, on the path; nothing to ask names of."""
    for name, module in (("kubectl-swarm", "swarm_operator.cli"), ("kubectl_complete-swarm", "swarm_operator.cli.completion")):
        code = f"import sys; from {module + ('.plugin' if module.endswith('cli') else '')} import main; sys.exit(main())"
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT / 'operator'} exec {sys.executable} -c '{code}' \"$@\"\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return tmp_path


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")
def test_kubectl_itself_offers_what_we_print(scripts: Path) -> None:
    def asked(*words: str) -> list[str]:
        return subprocess.run(["kubectl", "__complete", "swarm", *words], capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()

    assert asked("dr") == ["drain\thave the tasks of a machine run elsewhere", ":4"]
    assert asked("status", "-o", "w") == ["wide", ":4"]
    assert asked("plan", "-f", "") == [":0"]


def test_bash_offers_what_we_print(scripts: Path) -> None:
    def asked(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        code = f'source <(kubectl-swarm completion bash); COMP_WORDS=(kubectl-swarm {line}); COMP_CWORD={len(words)}; _kubectl_swarm; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()

    assert asked("re") == ["report", "resume", "restart", "replace", "renew"]
    assert asked("status", "-o", "") == ["tree", "wide", "json", "yaml"]
