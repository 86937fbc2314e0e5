"""Configuration files of the OpenStack services, under ``STATE/etc/<service>``.

Everything is set for one small machine: one worker each, long intervals for periodic work, no quotas in the way.
What belongs to the servers, networks and volumes of the lab comes from ``swarmlab.hosts`` and is merged in.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from swarmlab import database, ini, paths, rabbitmq, secrets

AUTH_URL = f"http://{paths.LOOPBACK}:{paths.PORT_KEYSTONE}/v3"
REGION = "RegionOne"
UNLIMITED = -1


def credentials(user: str) -> dict[str, object]:
    """The options of a keystoneauth password plugin for a service user."""
    return {
        "auth_type": "password",
        "auth_url": AUTH_URL,
        "username": user,
        "password": secrets.get("service-user"),
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region_name": REGION,
    }


def _common(user: str) -> ini.Snippet:
    """What every service has: where to log, the message bus, how to check tokens."""
    return {
        "DEFAULT": {"transport_url": rabbitmq.transport_url(), "use_stderr": True, "log_options": False},
        "keystone_authtoken": credentials(user) | {"www_authenticate_uri": AUTH_URL, "service_token_roles": "service", "service_token_roles_required": True},
        "oslo_concurrency": {"lock_path": paths.RUN / "locks" / user},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_middleware": {"enable_proxy_headers_parsing": False},
    }


def keystone() -> ini.Snippet:
    """Keystone: fernet tokens, an in-process cache."""
    return {
        "DEFAULT": {"use_stderr": True, "log_options": False},
        "database": {"connection": database.url("keystone")},
        "token": {"provider": "fernet"},
        "identity": {"password_hash_rounds": 4},  # random passwords of a lab need no slow hash
        "fernet_tokens": {"key_repository": paths.ETC / "keystone" / "fernet-keys"},
        "credential": {"key_repository": paths.ETC / "keystone" / "credential-keys"},
        "cache": {"enabled": True, "backend": "oslo_cache.dict"},
    }


def glance() -> ini.Snippet:
    """Glance with images in files."""
    return {
        "DEFAULT": {"enabled_backends": "lab:file", "workers": 1},
        "database": {"connection": database.url("glance")},
        "glance_store": {"default_backend": "lab"},
        "lab": {"filesystem_store_datadir": paths.STATE / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": paths.STATE / "glance" / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": paths.STATE / "glance" / "tasks"},
        "paste_deploy": {"flavor": "keystone", "config_file": paths.ETC / "glance" / "glance-api-paste.ini"},
    }


def placement() -> ini.Snippet:
    """Placement."""
    return {
        "placement_database": {"connection": database.url("placement")},
        "api": {"auth_strategy": "keystone"},
    }


def neutron() -> ini.Snippet:
    """Neutron with ML2 and routers. No agent speaks to it by RPC, so it runs without the RPC and periodic workers."""
    return {
        "DEFAULT": {
            "core_plugin": "ml2",
            "service_plugins": "router",
            "api_paste_config": paths.ETC / "neutron" / "api-paste.ini",
            "state_path": paths.STATE / "neutron",
            "dhcp_agent_notification": False,
            "notify_nova_on_port_status_changes": True,
            "notify_nova_on_port_data_changes": True,
            "send_events_interval": 1,
            "api_workers": 1,
            "rpc_workers": 0,
            "max_allowed_address_pair": 50,
        },
        "database": {"connection": database.url("neutron")},
        "nova": credentials("nova"),
        "placement": credentials("placement"),
        "quotas": {f"quota_{name}": UNLIMITED for name in ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")},
    }


def ml2() -> ini.Snippet:
    """ML2: VXLAN identifiers for tenant networks, one flat provider network."""
    return {
        "ml2": {
            "type_drivers": "flat,vxlan",
            "tenant_network_types": "vxlan",
            "extension_drivers": "port_security",
            "mechanism_drivers": "",
            "path_mtu": 1550,  # leaves 1500 after the 50 bytes of VXLAN that the lab does not really add
        },
        "ml2_type_flat": {"flat_networks": "public"},
        "ml2_type_vxlan": {"vni_ranges": "1:4000"},
    }


def nova() -> ini.Snippet:
    """Nova: one configuration for API, metadata, conductor, scheduler and compute."""
    return {
        "DEFAULT": {
            "my_ip": paths.LOOPBACK,
            "state_path": paths.STATE / "nova",
            "compute_driver": "fake.MediumFakeDriver",
            "report_interval": 20,
            "service_down_time": 120,
            "ram_allocation_ratio": 16.0,
            "cpu_allocation_ratio": 64.0,
            "disk_allocation_ratio": 16.0,
            "reserved_host_memory_mb": 0,
            "heal_instance_info_cache_interval": 300,
            "update_resources_interval": 120,
            "shelved_poll_interval": 0,
            "volume_usage_poll_interval": 0,
            "instance_usage_audit": False,
            "vif_plugging_timeout": 60,
        },
        "image_cache": {"manager_interval": -1},
        "api_database": {"connection": database.url("nova_api")},
        "database": {"connection": database.url("nova")},
        "api": {"auth_strategy": "keystone"},
        "wsgi": {"api_paste_config": paths.ETC / "nova" / "api-paste.ini"},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": -1},
        "filter_scheduler": {"track_instance_changes": False},
        "quota": dict.fromkeys(
            ("instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members", "metadata_items"),
            UNLIMITED,
        ),
        "placement": credentials("placement"),
        "glance": {"region_name": REGION} | credentials("glance"),
        "cinder": credentials("cinder"),
        "service_user": credentials("nova") | {"send_service_user_token": True},
        "neutron": credentials("neutron") | {"service_metadata_proxy": True, "metadata_proxy_shared_secret": secrets.get("metadata-proxy")},
        "vnc": {"enabled": False},
        "key_manager": {"backend": "barbican"},
        "workarounds": {"skip_cpu_compare_at_startup": True},
    }


def cinder() -> ini.Snippet:
    """Cinder: API, scheduler and volume."""
    return {
        "DEFAULT": {
            "host": "swl-volume-1",
            "my_ip": paths.LOOPBACK,
            "auth_strategy": "keystone",
            "api_paste_config": paths.ETC / "cinder" / "api-paste.ini",
            "state_path": paths.STATE / "cinder",
            "enabled_backends": "",
            "osapi_volume_workers": 1,
            "report_interval": 20,
            "service_down_time": 120,
            "quota_volumes": UNLIMITED,
            "quota_gigabytes": UNLIMITED,
            "quota_snapshots": UNLIMITED,
            "volume_clear": "none",
        },
        "database": {"connection": database.url("cinder")},
        "nova": credentials("nova"),
        "service_user": credentials("cinder") | {"send_service_user_token": True},
    }


def compute_file(service: str) -> Path:
    """The further configuration file of one compute service."""
    return paths.ETC / "nova" / f"{service}.conf"


def write_compute(service: str, number: int) -> None:
    """Give a compute service its own host name and state directory (which holds the identity of its compute node)."""
    state = paths.STATE / "nova" / service
    state.mkdir(parents=True, exist_ok=True)
    compute_file(service).write_text(ini.render({"DEFAULT": {"host": f"swl-compute-{number}", "state_path": state}}))


def write(nova_extra: ini.Snippet, neutron_extra: ini.Snippet, ml2_extra: ini.Snippet, cinder_extra: ini.Snippet) -> None:
    """Write all configuration files; safe to repeat."""
    files = {
        "keystone/keystone.conf": [keystone()],
        "glance/glance-api.conf": [_common("glance"), glance()],
        "placement/placement.conf": [_common("placement"), placement()],
        "neutron/neutron.conf": [_common("neutron"), neutron(), neutron_extra],
        "neutron/ml2_conf.ini": [ml2(), ml2_extra],
        "nova/nova.conf": [_common("nova"), nova(), nova_extra],
        "cinder/cinder.conf": [_common("cinder"), cinder(), cinder_extra],
    }
    for name, snippets in files.items():
        path = paths.ETC / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(ini.render(*snippets))
    for name in ("nova/api-paste.ini", "neutron/api-paste.ini", "cinder/api-paste.ini", "glance/glance-api-paste.ini"):
        shutil.copyfile(paths.OPENSTACK_VENV / "etc" / name, paths.ETC / name)
    for name in ("images", "glance/staging", "glance/tasks", "nova", "neutron", "cinder"):
        (paths.STATE / name).mkdir(parents=True, exist_ok=True)
    paths.METADATA_SHARED_SECRET_FILE.touch(mode=0o600)
    paths.METADATA_SHARED_SECRET_FILE.write_text(secrets.get("metadata-proxy"))
