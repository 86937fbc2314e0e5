"""The reader of Dockerfiles that the image's test uses passes over nothing, and what the Dockerfile copies is in the build context."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from harness import dockerfile
from harness.dockerfile import DockerfileError, Instruction
from harness.image import BASES

ROOT = Path(__file__).resolve().parents[3]


def test_stages_lines_and_flags() -> None:
    text = """# comment
FROM debian:12-slim AS build
RUN one \\
 # a comment inside
 && two
FROM debian:12-slim
COPY --from=build /a /b
ENV A=1 B=$A
CMD ["x", "y z"]
"""
    first, second = dockerfile.parse(text)
    assert (first.name, second.name) == ("build", "1")
    assert [step.words[0].split() for step in first.instructions] == [["one", "&&", "two"]]
    assert second.instructions[0] == Instruction("COPY", ("/a", "/b"), {"from": "build"})
    assert second.instructions[2].words == ("x", "y z")
    assert dockerfile.expand("$A/${B}c$C", {"A": "1", "B": "2"}) == "1/2c"


@pytest.mark.parametrize(
    "text",
    [
        "RUN x",
        "FROM a\nADD x y",
        "FROM a\nCMD run",
        "FROM a\nRUN --mount=type=cache x",
        "FROM a\nCOPY --chown=1 x y",
        "FROM --platform=x a",
        "FROM a\nENV A 1",
        "FROM a\nRUN x \\",
    ],
)
def test_what_is_not_known_is_an_error(text: str) -> None:
    with pytest.raises(DockerfileError):
        dockerfile.parse(text)


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("README.md", False),
        ("operator/swarm_operator/api/cluster.py", False),
        ("operator/swarm_operator/__pycache__/x.pyc", True),
        ("operator/swarm_operator.egg-info/PKG-INFO", True),
        (".git/config", True),
        (".venv/bin/python", True),
        ("tests/conftest.py", True),
    ],
)
def test_the_build_context(path: str, out: bool) -> None:
    assert dockerfile.ignored(PurePosixPath(path), dockerfile.ignore_patterns((ROOT / ".dockerignore").read_text())) is out


def test_the_image_starts_as_an_unprivileged_user_from_a_base_that_the_tests_can_make() -> None:
    stages = dockerfile.parse((ROOT / "Dockerfile").read_text())
    assert {stage.base for stage in stages} <= BASES.keys()
    last = {step.name: step.words for step in stages[-1].instructions}
    assert (last["USER"], last["ENTRYPOINT"][0]) == (("65532:65532",), "python")
