from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from swarm_operator.telemetry import logs


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], logger.level = handlers, level
    logging.captureWarnings(False)
    logs.unbind()


def test_json_lines_carry_the_bound_object_and_no_secret(root: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    logs.bind(key="SwarmService/ns/web", cluster="c", service="web")
    try:
        raise ValueError("token SWMTKN-1-aaa-bbb")
    except ValueError:
        logging.getLogger("x").exception("failed with %s", "password=hunter2")
    logs.unbind()
    logging.getLogger("x").warning("later")
    logging.getLogger("x").debug("not at this level")
    logging.getLogger("paramiko.transport").info("chatter")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["key"], first["cluster"], first["service"], first["level"]) == ("SwarmService/ns/web", "c", "web", "error")
    assert "Traceback" in first["message"]
    assert "SWMTKN" not in out.getvalue()
    assert "hunter2" not in out.getvalue()
    assert first["time"].endswith("Z")
    assert "key" not in second


def test_text_lines_name_the_object(root: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure("text", "INFO", out)
    logs.bind(key="SwarmCluster/ns/c")
    logging.getLogger("x").info("hello")
    assert out.getvalue().endswith("INFO    [SwarmCluster/ns/c] hello (x)\n")


def test_a_wrong_level_is_refused(root: logging.Logger) -> None:
    with pytest.raises(ValueError):
        logs.configure("text", "LOUD", io.StringIO())
