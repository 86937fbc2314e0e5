"""`make test`: run every suite, bring the lab up where it is needed, and print each runner's closing line at the end.

Exit status: 0 when all passed; 1 when any suite failed; 2 for a wrong argument. A lab that was not up before is taken down again, and what it leaves behind is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
LAB = ROOT / "deploy" / "lab" / "lab"

LINT = [
    ("ruff check", [BIN / "ruff", "check", "operator", "tests", "deploy"]),
    ("ruff format", [BIN / "ruff", "format", "--check", "operator", "tests", "deploy"]),
    ("mypy --strict", [BIN / "mypy"]),
    ("import-linter", [BIN / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-logo"]),
]
FAST = ["-m", "not lab", "tests"]
PLACES = ["tests/alerts", "tests/apivalidation", "tests/integration"]
"""Of the tests on the lab; each process reads them all, and to read the others takes longer than some suites."""
ALONE = ["-m", "lab and alone", *PLACES]
SIDE_BY_SIDE = ["-m", "lab and not alone", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *PLACES]


class Suite:
    """Runs commands, keeps their closing lines."""

    def __init__(self) -> None:
        self.closing: list[str] = []
        self.failed = False

    def run(self, title: str, argv: list[object], *, env: dict[str, str] | None = None, beside: bool = False) -> bool:
        """Run one command with its output shown; remember its last line. True when it exited 0. `beside`: another command runs, so the output is shown in one piece at the end."""
        print(f"\n=== {title}" + (": begun, beside what follows" if beside else ""), flush=True)
        started = time.monotonic()
        last, kept = "", [f"\n=== {title}\n"]
        with subprocess.Popen([str(a) for a in argv], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if beside:
                    kept.append(line)
                else:
                    sys.stdout.write(line)
                    sys.stdout.flush()
                if line.strip():
                    last = line.rstrip()
        if beside:
            sys.stdout.write("".join(kept))
        seconds = time.monotonic() - started
        print(f"=== {title}: exit {process.returncode} after {seconds:.0f} s", flush=True)
        self.closing.append(last if "pytest" in title else f"{title}: {'ok' if process.returncode == 0 else 'FAILED'} ({seconds:.0f} s)")
        self.failed |= process.returncode != 0
        return process.returncode == 0

    def pytest(self, title: str, args: list[str], env: dict[str, str] | None = None, *, beside: bool = False) -> bool:
        """Run pytest in the project's environment."""
        return self.run(f"pytest {title}", [BIN / "python", "-m", "pytest", "--durations=25", *args], env=env, beside=beside)


def lab_environment() -> dict[str, str]:
    """Our environment after `eval "$(lab env)"`."""
    out = subprocess.run(["bash", "-c", 'eval "$("$0" env)" && env -0', str(LAB)], check=True, capture_output=True, text=True).stdout
    return dict(pair.split("=", 1) for pair in out.split("\0") if "=" in pair)


def with_lab(suite: Suite, fast: bool) -> None:
    """Up, test, down; a lab that the user had up already stays up. The tests that need no lab run here too, for `lab up` and `lab tools` have installed the engine, helm and the
    judge of GitOps that some of them use: beside those on the lab, which wait for servers most of the time."""
    was_up = subprocess.run([str(LAB), "status"], cwd=ROOT, check=False, capture_output=True).returncode == 0
    ready = suite.run("lab up", [LAB, "up"]) and (not fast or suite.run("lab tools", [LAB, "tools"]))
    other = threading.Thread(
        target=lambda: suite.pytest("without the lab", FAST, env={**os.environ, "PATH": lab_environment()["PATH"]}, beside=True), name="without the lab"
    )
    try:
        if fast:
            other.start()
        if ready:
            suite.pytest("on the lab, alone", ALONE, env=lab_environment())
            suite.pytest("on the lab, two at a time", SIDE_BY_SIDE, env=lab_environment())
    finally:
        if fast:
            other.join()
        if not was_up:
            suite.run("lab down", [LAB, "down"])
            suite.run("lab leftovers", [LAB, "leftovers"])


def main(what: str) -> int:
    """Run the named part."""
    suite = Suite()
    started = time.monotonic()
    if what in ("all", "lint"):
        for title, argv in LINT:
            suite.run(title, list(argv))
    if what == "fast":
        suite.pytest("without the lab", FAST)
    if what in ("all", "lab"):
        with_lab(suite, fast=what == "all")
    print(f"\n=== summary after {time.monotonic() - started:.0f} s")
    for line in suite.closing:
        print(line)
    return 1 if suite.failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("all", "fast", "lab", "lint"):
        print("usage: tests/run.py all|fast|lab|lint", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
