from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm_operator.adapters.kubernetes.api import APPLY_PATCH, MERGE_PATCH, KubernetesApi
from swarm_operator.adapters.kubernetes.login import TokenFile, load_configuration
from swarm_operator.domain.errors import ErrorKind, ExternalError


@pytest.fixture
def observations() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def api(server: Any, tmp_path: Path, observations: list[tuple[str, str, str]]) -> KubernetesApi:
    configuration = load_configuration(server.kubeconfig(tmp_path, {"token": "t0"}))
    return KubernetesApi(configuration, observe=lambda *what: observations.append(what[:3]), connect_timeout=1, read_timeout=0.5)


def failure(api: KubernetesApi, method: str) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        api.call("op", method, "/x", body=None if method == "GET" else {"a": 1})
    assert caught.value.system == "kubernetes"
    return caught.value


def test_media_types_bodies_and_the_token_are_sent_as_told(api: KubernetesApi, server: Any) -> None:
    for media_type in (APPLY_PATCH, MERGE_PATCH):
        api.call("op", "PATCH", "/x", query={"force": "true"}, body={"a": [1]}, media_type=media_type)
    assert [(request.media_type, request.body, request.path, request.authorization) for request in server.requests] == [
        (APPLY_PATCH, {"a": [1]}, "/x?force=true", "Bearer t0"),
        (MERGE_PATCH, {"a": [1]}, "/x?force=true", "Bearer t0"),
    ]


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (400, ErrorKind.INVALID, ErrorKind.INVALID),
        (401, ErrorKind.UNAUTHORIZED, ErrorKind.UNAUTHORIZED),
        (403, ErrorKind.FORBIDDEN, ErrorKind.FORBIDDEN),
        (404, ErrorKind.NOT_FOUND, ErrorKind.NOT_FOUND),
        (409, ErrorKind.CONFLICT, ErrorKind.CONFLICT),
        (410, ErrorKind.TRANSIENT, ErrorKind.TRANSIENT),
        (422, ErrorKind.INVALID, ErrorKind.INVALID),
        (429, ErrorKind.RATE_LIMITED, ErrorKind.RATE_LIMITED),
        (500, ErrorKind.TRANSIENT, ErrorKind.AMBIGUOUS),
        (503, ErrorKind.TRANSIENT, ErrorKind.TRANSIENT),
        (504, ErrorKind.TRANSIENT, ErrorKind.AMBIGUOUS),
    ],
)
def test_status_codes_are_mapped_and_sent_once(
    api: KubernetesApi, server: Any, answer: Any, observations: list[Any], status: int, read: ErrorKind, write: ErrorKind
) -> None:
    server.answer = lambda request: answer(status, {"message": "no: SWMTKN-1-secret"}, {"Retry-After": "7"})
    for method, kind in (("GET", read), ("PATCH", write)):
        error = failure(api, method)
        assert error.kind is kind
        assert error.message == "no: [redacted]"
        assert error.retry_after == 7
    assert len(server.requests) == 2, "nothing is repeated behind the caller's back"
    assert observations == [("kubernetes", "op", read.value), ("kubernetes", "op", write.value)]


def test_a_quota_is_told_from_a_policy(api: KubernetesApi, server: Any, answer: Any) -> None:
    server.answer = lambda request: answer(403, {"message": 'secrets "x" is forbidden: exceeded quota: q'})
    assert failure(api, "POST").kind is ErrorKind.QUOTA


def test_a_field_that_the_installed_crds_lack_is_said_so(api: KubernetesApi, server: Any, answer: Any) -> None:
    """The API server answers 500 (seen of 1.35): nothing was stored, and the same body will never do."""
    text = "failed to create typed patch object (ns/x; group/v1, Kind=X): .status.pools: field not declared in schema"
    server.answer = lambda request: answer(500, {"message": text})
    error = failure(api, "PATCH")
    assert error.kind is ErrorKind.INVALID and "custom resource definitions" in error.message and ".status.pools" in error.message


def test_a_lost_answer_to_a_write_is_ambiguous_and_not_sent_again(api: KubernetesApi, server: Any, answer: Any) -> None:
    for status in (0, -1):  # closed; silent
        server.requests.clear()
        server.answer = lambda request, status=status: answer(status)
        assert failure(api, "POST").kind is ErrorKind.AMBIGUOUS
        assert failure(api, "GET").kind is ErrorKind.TRANSIENT
        assert len(server.requests) == 2


def test_no_server_at_all_is_unreachable(api: KubernetesApi, server: Any) -> None:
    server.close()
    assert failure(api, "POST").kind is ErrorKind.UNREACHABLE
    assert failure(api, "GET").message == "the API server can't be reached"


def test_an_answer_that_is_no_json_is_an_error(api: KubernetesApi, server: Any, answer: Any) -> None:
    server.answer = lambda request: answer(200, b"<html>")
    assert failure(api, "GET").kind is ErrorKind.TRANSIENT
    assert failure(api, "PATCH").kind is ErrorKind.AMBIGUOUS
    server.answer = lambda request: answer(200, [1])
    assert failure(api, "GET").kind is ErrorKind.INVALID


def test_a_list_that_expires_on_the_way_raises_and_is_not_partial(api: KubernetesApi, server: Any, answer: Any) -> None:
    pages = [answer(200, {"items": [1, 2], "metadata": {"continue": "c1"}}), answer(200, {"items": [3], "metadata": {}})]
    server.answer = lambda request: pages[len(server.requests) - 1]
    assert list(api.pages("op", "/x")) == [1, 2, 3]
    assert [request.path for request in server.requests] == ["/x?limit=500", "/x?limit=500&continue=c1"]
    server.requests.clear()
    pages[1] = answer(410, {"message": "The provided continue parameter is too old"})
    with pytest.raises(ExternalError):
        list(api.pages("op", "/x"))


def test_a_rotated_token_file_is_read_again_after_a_401(server: Any, answer: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    api = KubernetesApi(load_configuration(server.kubeconfig(tmp_path, {"tokenFile": "token"})))
    server.answer = lambda request: answer(200 if request.authorization == "Bearer new" else 401, {"message": "Unauthorized"})
    assert failure(api, "GET").kind is ErrorKind.UNAUTHORIZED
    token.write_text("new")
    api.call("op", "GET", "/x")
    assert [request.authorization for request in server.requests] == ["Bearer old", "Bearer old", "Bearer old", "Bearer new"]


def test_a_token_file_is_read_each_period_and_survives_a_moment_of_absence(tmp_path: Path) -> None:
    holder = SimpleNamespace(api_key={})
    path = tmp_path / "token"
    path.write_text("one")
    hook = TokenFile(path, period=0)
    hook(holder)
    path.unlink()
    hook(holder)
    assert holder.api_key == {"BearerToken": "Bearer one"}
    path.write_text("two")
    hook(holder)
    assert holder.api_key == {"BearerToken": "Bearer two"}


def test_no_login_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ExternalError, match="no usable Kubernetes login") as caught:
        load_configuration(str(tmp_path / "missing"))
    assert caught.value.kind is ErrorKind.INVALID
