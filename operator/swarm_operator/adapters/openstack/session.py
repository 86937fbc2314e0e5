"""From clouds.yaml text to an authenticated session, and one way to make a call with it."""

from __future__ import annotations

import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import requests
import yaml
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session
from openstack.config.cloud_region import CloudRegion
from openstack.config.loader import OpenStackConfig
from openstack.exceptions import ConfigException

from swarm_operator import __version__
from swarm_operator.adapters.openstack.errors import Effect, external, from_exception, from_response
from swarm_operator.adapters.openstack.gate import CircuitOpen, Gate, Limits, Throttled
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import Clock
from swarm_operator.telemetry.requests import NOT_SENT

Service = Literal["identity", "compute", "network", "image", "block-storage"]
Observe = Callable[[str, str, str, float], None]
"""observe(system, operation, outcome, seconds): called once per call; outcome is "ok", the value of an ErrorKind, or "not-sent"."""
Params = Mapping[str, str | list[str]]
Json = dict[str, Any]

TIMEOUTS: Final = (5.0, 60.0)
"""Seconds to connect, and to wait for bytes of an answer. Nova answers a POST only after calls of its own to Neutron, Glance and Placement."""
_VERSIONS: Final[dict[Service, tuple[str | None, str | None]]] = {
    "identity": ("3", "3.latest"),
    "compute": ("2", "2.latest"),
    "image": ("2", "2.latest"),
    "block-storage": ("3", "3.latest"),
    "network": (None, None),  # Neutron has one version; its place in the URL is handled in `_path`
}


@dataclass(frozen=True)
class Holder:
    """Of a token: its user, the application credential that it was got with, and when the user's password expires."""

    user_id: str
    application_credential_id: str | None
    password_expires_at: str | None


class ApiSession:
    """One cloud of one clouds.yaml: token, catalog and connections, shared by threads. Nothing is sent before the first call.

    Only openstacksdk's configuration and session are used, not its resource layer: that follows writes by reads of its own and repeats calls on connection failures.
    """

    def __init__(
        self,
        region: CloudRegion,
        observe: Observe,
        ca_directory: tempfile.TemporaryDirectory[str] | None,
        timeouts: tuple[float, float] = TIMEOUTS,
        gate: Gate | None = None,
    ) -> None:
        self._region = region
        self.gate = gate if gate is not None else Gate()
        self._observe = observe
        self._ca_directory = ca_directory  # removed with this object
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._adapters: dict[Service, Adapter] = {}

    def check_credentials(self) -> None:
        """Get or reuse a token."""
        with self._observed("identity.token.get"):
            self._authenticate("authenticate with Keystone")

    def project_id(self) -> str | None:
        """The project that the token is scoped to; None where it is not scoped to one."""
        what = "authenticate with Keystone"
        self._authenticate(what)
        try:
            return self._open().get_project_id()
        except Exception as error:
            raise from_exception(error, what, Effect.READ) from error

    def holder(self) -> Holder:
        """Whose token it is."""
        what = "authenticate with Keystone"
        self._authenticate(what)
        session = self._open()
        plugin = session.auth
        if not isinstance(plugin, BaseIdentityPlugin):
            raise external(ErrorKind.NOT_FOUND, "Keystone does not tell of credentials of this auth_type", reason=Reason.NOT_EVALUATED)
        try:
            access = plugin.get_access(session)
        except Exception as error:
            raise from_exception(error, what, Effect.READ) from error
        user: Json = getattr(access, "_user", None) or {}  # keystoneauth has no accessor for the password's expiry (Identity API 3, "Password authentication")
        return Holder(str(access.user_id), getattr(access, "application_credential_id", None) or None, user.get("password_expires_at"))

    def call(
        self,
        service: Service,
        method: str,
        path: str,
        *,
        operation: str,
        what: str,
        effect: Effect,
        json: Any = None,
        params: Params | None = None,
        microversion: str | None = None,
        accept: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
        data: Iterator[bytes] | None = None,
        timeout: tuple[float, float] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """One request, sent at most once (again only after a 401, with a new token). Answers of 400 and above raise, but for those in `accept`.

        `operation` names the call for figures ("compute.server.create"), `what` for the user ("create server demo-0").
        """
        with self._observed(operation):
            # Token and endpoint first: a failure there is never a write in doubt.
            self._authenticate(what)
            with self.gate.passing(service, what):
                try:
                    adapter = self._adapter(service)
                    url = self._path(service, adapter, path)
                except Exception as error:
                    raise from_exception(error, what, Effect.READ) from error
                try:
                    response = adapter.request(
                        url,
                        method,
                        json=json,
                        params=params,
                        microversion=microversion,
                        headers=dict(headers or {}),
                        **({"data": data} if data is not None else {}),
                        **({"timeout": timeout} if timeout is not None else {}),
                        **({"stream": True} if stream else {}),
                        raise_exc=False,
                        connect_retries=0,
                        status_code_retries=0,
                        log=False,
                    )
                except ExternalError:
                    raise  # of the source of `data`
                except Exception as error:
                    raise from_exception(error, what, effect) from error
                if response.status_code >= 400 and response.status_code not in accept:
                    raise from_response(response, what, effect)
                return response

    def call_json(self, service: Service, method: str, path: str, **keywords: Any) -> Json:
        """`call`, and the JSON object that it answers. A body that is none raises TRANSIENT (AMBIGUOUS after a create: it was carried out and its id is lost)."""
        response = self.call(service, method, path, **keywords)
        try:
            body = response.json()
        except ValueError as error:
            body = error
        if not isinstance(body, dict):
            kind = ErrorKind.AMBIGUOUS if keywords["effect"] is Effect.CREATE else ErrorKind.TRANSIENT
            raise external(kind, f"{keywords['what']}: the {service} API answered without a JSON object")
        return body

    def list_all(
        self,
        service: Service,
        path: str,
        key: str,
        *,
        operation: str,
        what: str,
        params: Params | None = None,
        microversion: str | None = None,
    ) -> list[Json]:
        """All items of a collection, over all pages; raises TRANSIENT rather than answer a part.

        The next page is in `<key>_links` (Nova, Neutron; rel "next") or `next` (Glance).
        """
        items: list[Json] = []
        seen: set[str] = set()
        query: Params = dict(params or {})
        while True:
            body = self.call_json(service, "GET", path, operation=operation, what=what, effect=Effect.READ, params=query, microversion=microversion)
            page = body.get(key)
            if not isinstance(page, list):
                raise external(ErrorKind.TRANSIENT, f"{what}: the {service} API answered without {key}")
            items += page
            following = body.get("next") or next((link.get("href") for link in body.get(f"{key}_links", []) if link.get("rel") == "next"), None)
            if not following:
                return items
            if following in seen or not page:
                raise external(ErrorKind.TRANSIENT, f"{what}: the {service} API's pages do not end")
            seen.add(following)
            query = _query(following)

    def _authenticate(self, what: str) -> None:
        with self.gate.passing("identity", what, counted=False):  # mostly the token is at hand and nothing is sent
            try:
                self._open().get_token()
            except Exception as error:
                failure = from_exception(error, what, Effect.READ)
                if failure.kind is ErrorKind.UNAUTHORIZED:
                    failure = external(ErrorKind.UNAUTHORIZED, "Keystone refused the credentials")
                elif failure.kind is ErrorKind.NOT_FOUND:
                    failure = external(ErrorKind.INVALID, "clouds.yaml: there is no Identity API at auth_url", reason=Reason.CREDENTIALS_MALFORMED)
                raise failure from error

    def _open(self) -> Session:
        with self._lock:
            if self._session is None:
                session = self._region.get_session()
                session.timeout = self._timeouts  # type: ignore[assignment]  # passed on to requests, which takes (connect, read)
                self._session = session
            return self._session

    def _adapter(self, service: Service) -> Adapter:
        session = self._open()
        with self._lock:
            adapter = self._adapters.get(service)
            if adapter is None:
                lowest, highest = _VERSIONS[service]
                region = self._region
                adapter = Adapter(
                    session,
                    service_type=region.get_service_type(service),
                    service_name=region.get_service_name(service),
                    interface=region.get_interface(service),
                    region_name=region.get_region_name(service),
                    endpoint_override=region.get_endpoint(service),
                    min_version=lowest,
                    max_version=highest,
                    allow_version_hack=True,
                )
                self._adapters[service] = adapter
            return adapter

    @staticmethod
    def _path(service: Service, adapter: Adapter, path: str) -> str:
        endpoint = adapter.get_endpoint() or ""
        if service == "network" and not re.search(r"/v2(\.0)?/?$", endpoint):
            return f"/v2.0{path}"  # catalogs name Neutron's root; users' overrides may hold the version
        return path

    def _observed(self, operation: str) -> _Observed:
        return _Observed(self._observe, operation)


class _Observed:
    """Context that reports how a call went."""

    def __init__(self, observe: Observe, operation: str) -> None:
        self._observe = observe
        self._operation = operation
        self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        outcome = "ok" if error is None else error.kind.value if isinstance(error, ExternalError) else "error"
        if isinstance(error, (CircuitOpen, Throttled)):
            outcome = NOT_SENT
        self._observe("openstack", self._operation, outcome, time.monotonic() - self._begun)


def _query(href: str) -> dict[str, str | list[str]]:
    query: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(urlsplit(href).query, keep_blank_values=True):
        held = query.get(name)
        query[name] = value if held is None else [*([held] if isinstance(held, str) else held), value]
    return query


def open_session(
    clouds_yaml: bytes,
    cloud_name: str,
    cacert: bytes | None,
    observe: Observe,
    timeouts: tuple[float, float] = TIMEOUTS,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    clock: Clock | None = None,
) -> ApiSession:
    """A session for one entry of clouds.yaml (openstacksdk documentation, "Configuring OpenStack SDK Applications"). No call is made; no file or environment variable of
    the user is read. Raises INVALID with reason CloudNotFound or CredentialsMalformed."""
    clouds = _parse(clouds_yaml)
    if cloud_name not in clouds:
        raise external(ErrorKind.INVALID, f"clouds.yaml has no cloud {cloud_name!r}", reason=Reason.CLOUD_NOT_FOUND)
    entry = clouds[cloud_name]
    if not isinstance(entry, dict) or not (isinstance(entry.get("auth"), dict) or entry.get("profile")):
        raise _malformed(f"cloud {cloud_name!r} has no `auth`")
    named = _names_file(entry)
    if named is not None:
        raise _malformed(f"`{named}` of cloud {cloud_name!r} would name a file of the operator's host; a CA certificate goes into the Secret's key `cacert`")
    directory: tempfile.TemporaryDirectory[str] | None = None
    overrides: dict[str, Any] = {}
    if cacert is not None and cacert.strip():
        directory = _private_copy(cacert)
        overrides["cacert"] = str(Path(directory.name) / "ca.pem")
    try:
        config = OpenStackConfig(load_yaml_config=False, load_envvars=False, app_name="swarm-operator", app_version=__version__)
        config.cloud_config = {"clouds": {cloud_name: entry}}
        region = config.get_one(cloud=cloud_name, **overrides)
    except ConfigException as error:
        raise _malformed(str(error)) from error
    except Exception as error:  # auth plugin loaders raise many kinds for options that are missing or of the wrong type
        raise _malformed(f"{type(error).__name__}: {error}") from error
    return ApiSession(region, observe, directory, timeouts, Gate(limits, clock))


def _parse(clouds_yaml: bytes) -> dict[str, Any]:
    try:
        document = yaml.safe_load(clouds_yaml.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)  # the error's own text may quote a password
        raise _malformed("is not YAML" + (f" (line {place.line + 1})" if place is not None else "")) from None
    clouds = document.get("clouds") if isinstance(document, dict) else None
    if not isinstance(clouds, dict):
        raise _malformed("has no `clouds`")
    return clouds


_FILES: Final = frozenset({"cacert", "cert", "key", "ca_file", "cert_file", "key_file", "access_token_file", "mutual_auth_file", "vendor_file", "client_key"})
"""Options of openstacksdk and of keystoneauth's plugins whose values are paths."""


def _names_file(part: Any) -> str | None:
    """The first option, at any depth, that would make the client read a file: whoever may write the Secret need not be allowed to read what the operator can."""
    if isinstance(part, dict):
        for name, value in part.items():
            plain = str(name).replace("-", "_").lower()
            if (plain in _FILES or (plain == "verify" and isinstance(value, str))) and value not in (None, ""):
                return str(name)
            if plain == "profile" and isinstance(value, str) and ("/" in value or ":" in value):
                return str(name)  # openstacksdk would fetch it from there
            found = _names_file(value)
            if found is not None:
                return found
    elif isinstance(part, list):
        return next((found for item in part if (found := _names_file(item)) is not None), None)
    return None


def _private_copy(cacert: bytes) -> tempfile.TemporaryDirectory[str]:
    """requests takes a CA as a file only; the directory is ours alone (mode 0700)."""
    try:
        ssl.create_default_context().load_verify_locations(cadata=cacert.decode())
    except (ssl.SSLError, ValueError) as error:
        raise external(ErrorKind.INVALID, "cacert: no PEM certificate", reason=Reason.CREDENTIALS_MALFORMED) from error
    directory = tempfile.TemporaryDirectory(prefix="swarm-operator-ca-")
    (Path(directory.name) / "ca.pem").write_bytes(cacert)
    return directory


def _malformed(text: str) -> ExternalError:
    return external(ErrorKind.INVALID, f"clouds.yaml: {text}", reason=Reason.CREDENTIALS_MALFORMED)
