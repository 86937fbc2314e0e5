"""Keystone (Identity API 3): when the credentials end."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from swarm_operator.adapters.openstack.errors import Effect
from swarm_operator.adapters.openstack.session import ApiSession
from swarm_operator.adapters.openstack.sharedlist import SharedList
from swarm_operator.domain.cloud import CredentialExpiry

REMEMBERED_SECONDS: Final = 600.0
"""An application credential can't be changed once it is made, and a user's password rarely is."""


class IdentityCalls:
    """The Keystone part of `ports.compute.Cloud`."""

    def __init__(self, api: ApiSession) -> None:
        self._identity_api = api
        self._expiry: SharedList[CredentialExpiry] = SharedList(self._fetch_expiry, REMEMBERED_SECONDS)

    def credential_expiry(self) -> CredentialExpiry:
        """See `ports.compute.Cloud`. A user may read its own application credentials, also with a restricted one (Keystone's default policy)."""
        return self._expiry.get()

    def _fetch_expiry(self) -> CredentialExpiry:
        holder = self._identity_api.holder()
        if holder.application_credential_id is None:
            return CredentialExpiry("Password", holder.user_id, holder.password_expires_at)
        path = f"/users/{quote(holder.user_id, safe='')}/application_credentials/{quote(holder.application_credential_id, safe='')}"
        what = "read the application credential"
        answer = self._identity_api.call_json("identity", "GET", path, operation="identity.application_credential.get", what=what, effect=Effect.READ)
        found = answer.get("application_credential") or {}
        return CredentialExpiry("ApplicationCredential", holder.application_credential_id, found.get("expires_at"))
