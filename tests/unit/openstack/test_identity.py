"""When the credentials end, as Keystone tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openstack_fakecloud import Answer

from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds
from swarm_operator.domain.cloud import CredentialExpiry
from swarm_operator.domain.errors import ErrorKind, ExternalError

PATH = "/identity/v3/users/u/application_credentials/app"


def app_cloud(fake: Any, clouds: OpenStackClouds) -> OpenStackCloud:
    fake.token_extra = {"methods": ["application_credential"], "application_credential": {"id": "app", "name": "swarm", "restricted": True}}
    auth = {"auth_url": f"{fake.url}/identity/v3", "application_credential_id": "app", "application_credential_secret": "s3cret"}
    entry = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "One"}
    return clouds.open(json.dumps({"clouds": {"mine": entry}}).encode(), "mine", None)


def test_an_application_credential_is_asked_for_once(fake: Any, clouds: OpenStackClouds) -> None:
    fake.on("GET", PATH, Answer(200, {"application_credential": {"id": "app", "expires_at": "2026-12-01T00:00:00.000000"}}))
    cloud = app_cloud(fake, clouds)
    for _ in range(3):
        assert cloud.credential_expiry() == CredentialExpiry("ApplicationCredential", "app", "2026-12-01T00:00:00.000000")
    assert len(fake.asked("GET", PATH)) == 1


def test_one_without_end(fake: Any, clouds: OpenStackClouds) -> None:
    fake.on("GET", PATH, Answer(200, {"application_credential": {"id": "app", "expires_at": None}}))
    assert app_cloud(fake, clouds).credential_expiry().expires_at is None


def test_a_policy_that_does_not_let_it_be_read(fake: Any, clouds: OpenStackClouds) -> None:
    fake.on("GET", PATH, Answer(403, {"error": {"message": "You are not authorized", "code": 403}}))
    with pytest.raises(ExternalError) as caught:
        app_cloud(fake, clouds).credential_expiry()
    assert caught.value.kind is ErrorKind.FORBIDDEN


def test_a_password_ends_too(fake: Any, cloud: OpenStackCloud) -> None:
    fake.token_extra = {"user": {"id": "u", "name": "u", "password_expires_at": "2026-11-30T00:00:00.000000"}}
    assert cloud.credential_expiry() == CredentialExpiry("Password", "u", "2026-11-30T00:00:00.000000")
