"""`OpenStackClouds` and `OpenStackCloud`: the ports' `Clouds` and `Cloud`."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from typing import Final

from swarm_operator.adapters.openstack.compute import ComputeCalls
from swarm_operator.adapters.openstack.gate import Limits
from swarm_operator.adapters.openstack.identity import IdentityCalls
from swarm_operator.adapters.openstack.image import ImageCalls
from swarm_operator.adapters.openstack.network import NetworkCalls
from swarm_operator.adapters.openstack.quota import QuotaCalls
from swarm_operator.adapters.openstack.references import ReferenceCalls
from swarm_operator.adapters.openstack.servergroup import ServerGroupCalls
from swarm_operator.adapters.openstack.session import TIMEOUTS, ApiSession, Observe, open_session
from swarm_operator.adapters.openstack.volume import VolumeCalls
from swarm_operator.domain.cloud import ServerRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import Clock

MOST_CREDENTIALS: Final = 256
"""Credentials kept at once; beyond that the one unused for longest is opened anew when it is wanted."""


class OpenStackCloud(IdentityCalls, ComputeCalls, NetworkCalls, ImageCalls, VolumeCalls, QuotaCalls, ReferenceCalls, ServerGroupCalls):
    """`ports.compute.Cloud` for one credential. Safe for use by many threads."""

    def __init__(self, api: ApiSession) -> None:
        IdentityCalls.__init__(self, api)
        ComputeCalls.__init__(self, api)
        NetworkCalls.__init__(self, api)
        ImageCalls.__init__(self, api)
        VolumeCalls.__init__(self, api)
        QuotaCalls.__init__(self, api)
        ReferenceCalls.__init__(self, api)
        ServerGroupCalls.__init__(self, api)

    def check_credentials(self) -> None:
        """See `ports.compute.Cloud`."""
        self._api.check_credentials()

    def open_circuits(self) -> tuple[str, ...]:
        """The services that are left alone for a while because they failed."""
        return self._api.gate.open_circuits()

    def create_server(self, request: ServerRequest) -> str:
        """See `ports.compute.Cloud`."""
        try:
            return super().create_server(request)
        except ExternalError as error:
            if error.kind in (ErrorKind.INVALID, ErrorKind.NOT_FOUND):
                self.forget_references()  # the image or flavor may have been replaced within the minute that names are remembered
            raise


def _no_observer(system: str, operation: str, outcome: str, seconds: float) -> None:
    """Figures go nowhere."""


class OpenStackClouds:
    """`ports.compute.Clouds`: one `OpenStackCloud`, and so one token and one server list, per credential."""

    def __init__(
        self,
        observe: Observe = _no_observer,
        timeouts: tuple[float, float] = TIMEOUTS,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        clock: Clock | None = None,
    ) -> None:
        self._observe = observe
        self._timeouts = timeouts
        self._limits, self._clock = limits, clock
        self._lock = threading.Lock()
        self._clouds: OrderedDict[str, OpenStackCloud] = OrderedDict()

    def open(self, clouds_yaml: bytes, cloud_name: str, cacert: bytes | None) -> OpenStackCloud:
        """See `ports.compute.Clouds`. A changed Secret is another credential: its Cloud is new, with a token of its own."""
        digest = hashlib.sha256()
        for part in (clouds_yaml, cloud_name.encode(), cacert or b""):
            digest.update(len(part).to_bytes(8, "big") + part)
        key = digest.hexdigest()
        with self._lock:
            cloud = self._clouds.get(key)
            if cloud is None:
                cloud = self._clouds[key] = OpenStackCloud(
                    open_session(clouds_yaml, cloud_name, cacert, self._observe, self._timeouts, self._limits, self._clock)
                )
            self._clouds.move_to_end(key)
            while len(self._clouds) > MOST_CREDENTIALS:
                self._clouds.popitem(last=False)
            return cloud

    def open_circuits(self) -> dict[str, int]:
        """By service, how many credentials' circuits are open: the service is left alone for a while."""
        with self._lock:
            clouds = list(self._clouds.values())
        return dict(Counter(service for cloud in clouds for service in cloud.open_circuits()))
