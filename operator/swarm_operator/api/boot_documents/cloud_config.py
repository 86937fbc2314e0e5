"""A cloud-config: the modules of which these models know what they take, and the names of the others.

Source: cloud-init reference, "Module reference" (https://cloudinit.readthedocs.io/en/latest/reference/modules.html), "Base configuration" and "Cloud config examples".
The models take what the reference shows, spellings of former versions and what cloud-init makes do with (a string for a list of one, switches in quotes); they are no stricter
than `cloud-init schema`. That command also refuses top-level keys that it does not know. Here these pass, because the machine's cloud-init may be newer, unless they look misspelt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from swarm_operator.api.boot_documents.accounts import Chpasswd, Groups, PublishHostKeys, SshPasswords, Users
from swarm_operator.api.boot_documents.packages import Apt, AptPipelining, Packages, Snap, YumRepository
from swarm_operator.api.boot_documents.shape import Command, Flag, Part, TextOrNumber, Texts, problems_of
from swarm_operator.api.boot_documents.system import (
    CaCerts,
    DiskSetup,
    FilesystemSetup,
    Growpart,
    Keyboard,
    Locale,
    Mount,
    MountDefaults,
    Ntp,
    PhoneHome,
    PowerState,
    RandomSeed,
    ResizeRootfs,
    ResolvConf,
    Rsyslog,
    Swap,
    WriteFile,
)

_OTHER_KEYS: Final = frozenset(
    key
    for line in (
        # Modules that are not looked into
        "ansible apk_repos autoinstall chef drivers fan grub_dpkg grub-dpkg landscape lxd mcollective migrate puppet rh_subscription rpi salt_minion spacewalk",
        "ubuntu_advantage ubuntu-advantage ubuntu_pro updates vendor_data wireguard zypper",
        # cloud-init itself
        "allow_userdata def_log_file disable_network_activation launch-index log_cfgs logcfg manual_cache_clean network output prefer_fqdn_over_hostname",
        "reporting syslog_fix_perms unverified_modules version",
        # Former spellings
        "apt_ftp_proxy apt_http_proxy apt_https_proxy apt_mirror apt_mirror_search apt_mirror_search_dns apt_preserve_sources_list apt_proxy",
        "apt_sources apt_sources_list rsyslog_dir rsyslog_filename",
    )
    for key in line.split()
)


class CloudConfig(Part):
    """The whole document, without the keys that the operator refuses."""

    open_to_more: ClassVar[bool] = True
    other_keys: ClassVar[frozenset[str]] = _OTHER_KEYS

    bootcmd: list[Command] | None = None
    runcmd: list[Command | None] | None = None  # a null among them is nothing to do
    write_files: list[WriteFile] | None = None
    final_message: str | None = None
    power_state: PowerState | None = None
    phone_home: PhoneHome | None = None

    users: Users | None = None
    groups: Groups | None = None
    password: TextOrNumber | None = None
    chpasswd: Chpasswd | None = None
    ssh_pwauth: SshPasswords | None = None
    ssh_authorized_keys: list[str] | None = None
    ssh_import_id: Texts | None = None
    ssh_publish_hostkeys: PublishHostKeys | None = None
    ssh_quiet_keygen: Flag | None = None
    authkey_hash: str | None = None
    disable_root: Flag | None = None
    disable_root_opts: str | None = None

    packages: Packages | None = None
    package_update: Flag | None = None
    package_upgrade: Flag | None = None
    package_reboot_if_required: Flag | None = None
    apt_update: Flag | None = None
    apt_upgrade: Flag | None = None
    apt_reboot_if_required: Flag | None = None
    apt: Apt | None = None
    apt_pipelining: AptPipelining | None = None
    snap: Snap | None = None
    yum_repos: dict[str, YumRepository] | None = None
    yum_repo_dir: str | None = None

    device_aliases: dict[str, str] | None = None
    disk_setup: dict[str, DiskSetup] | None = None
    fs_setup: list[FilesystemSetup] | None = None
    mounts: list[Mount] | None = None
    mount_default_fields: MountDefaults | None = None
    swap: Swap | None = None
    growpart: Growpart | None = None
    resize_rootfs: ResizeRootfs | None = None

    ca_certs: CaCerts | None = None
    keyboard: Keyboard | None = None
    locale: Locale | None = None
    locale_configfile: str | None = None
    manage_resolv_conf: Flag | None = None
    ntp: Ntp | None = None
    random_seed: RandomSeed | None = None
    resolv_conf: ResolvConf | None = None
    rsyslog: Rsyslog | None = None
    timezone: str | None = None
    byobu_by_default: str | None = None

    @classmethod
    def respelt(cls, data: dict[Any, Any]) -> dict[Any, Any]:
        """`ca-certs` is the former spelling."""
        return {"ca_certs" if key == "ca-certs" else key: value for key, value in data.items()}


def cloud_config_problems(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with the modules, each with its path and without values."""
    return problems_of(CloudConfig, document)
