"""Where the API server is and who we are: a kubeconfig, or the service account of the pod.

Tokens in files are read again: bound service account tokens live for an hour (Kubernetes documentation, "Configure Service Accounts for Pods": the application has to
reload the token when it rotates), and the client reads a kubeconfig's `tokenFile` only once.
Does not: write to any kubeconfig, or log what it reads.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.config.incluster_config import SERVICE_CERT_FILENAME, SERVICE_TOKEN_FILENAME, InClusterConfigLoader

from kubernetes import client
from swarm_operator.domain.errors import ErrorKind, ExternalError

TOKEN_PERIOD: Final = 30.0
"""Seconds for which a token that was read from a file is used without looking again. The kubelet rotates at 80% of an hour."""


class TokenFile:
    """A `refresh_api_key_hook` that reads the bearer token from a file, at most every `period` seconds. Keeps the last token while the file can't be read or is empty."""

    def __init__(self, path: Path, period: float = TOKEN_PERIOD) -> None:
        self._path = path
        self._period = period
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._token = ""

    def __call__(self, configuration: Any) -> None:
        with self._lock:
            if time.monotonic() - self._read_at >= self._period:
                self._read()
            configuration.api_key["BearerToken"] = f"Bearer {self._token}"

    def expire(self) -> None:
        """The server refused the token: read the file again at the next call."""
        with self._lock:
            self._read_at = float("-inf")

    def _read(self) -> None:
        try:
            token = self._path.read_text().strip()
        except OSError:
            token = ""
        if token:
            self._token = token
            self._read_at = time.monotonic()


def load_configuration(kubeconfig: str | None = None, context: str | None = None) -> Any:
    """The client's Configuration: from `kubeconfig` where given, else from the pod's service account, else from $KUBECONFIG or ~/.kube/config.

    Raises ExternalError INVALID when none of them can be used. Retries of the transport are off: the adapter decides what may be sent twice.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            _load_in_cluster(configuration)
        else:
            load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]
            token_file = _token_file_of(kubeconfig, context)
            if token_file is not None:
                _use_token_file(configuration, token_file)
    except (ConfigException, OSError, yaml.YAMLError) as error:
        raise ExternalError(ErrorKind.INVALID, "kubernetes", f"no usable Kubernetes login: {error}") from error
    configuration.retries = urllib3.Retry(total=False)
    return configuration


def bearer_token(configuration: Any) -> str | None:
    """The present token without its scheme, or None where the login is by certificate or password."""
    header = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    return header.split(" ", 1)[-1] if header else None


def expire_token(configuration: Any) -> bool:
    """Have the token read again at its next use; False where it does not come from a file."""
    hook = configuration.refresh_api_key_hook
    if not isinstance(hook, TokenFile):
        return False
    hook.expire()
    return True


def _load_in_cluster(configuration: Any) -> None:
    loader: Any = InClusterConfigLoader
    loader(token_filename=SERVICE_TOKEN_FILENAME, cert_filename=SERVICE_CERT_FILENAME, try_refresh_token=False).load_and_set(configuration)
    _use_token_file(configuration, Path(SERVICE_TOKEN_FILENAME))


def _use_token_file(configuration: Any, path: Path) -> None:
    hook = TokenFile(path)
    hook(configuration)
    configuration.refresh_api_key_hook = hook


def _token_file_of(kubeconfig: str | None, context: str | None) -> Path | None:
    """The `tokenFile` of the context's user; relative paths are relative to the kubeconfig (kubeconfig v1 reference)."""
    for name in (kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep):
        path = Path(name).expanduser()
        if not path.is_file():
            continue
        content = yaml.safe_load(path.read_text()) or {}
        wanted = context or content.get("current-context")
        user_name = next((entry["context"].get("user") for entry in content.get("contexts") or [] if entry.get("name") == wanted), None)
        user = next((entry.get("user") or {} for entry in content.get("users") or [] if entry.get("name") == user_name), {})
        if user.get("tokenFile"):
            return (path.parent / str(user["tokenFile"])).resolve()
    return None
