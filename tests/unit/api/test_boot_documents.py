"""Documents that cloud-init takes, and documents that it does not: each of those with the path of what is wrong, and never with a value.

Written after the examples of cloud-init's "Module reference"; Ignition's are in `bootstrap/test_ignition_documents.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from swarm_operator.api.boot_documents.cloud_config import CloudConfig, cloud_config_problems
from swarm_operator.api.parse import parse_cluster
from swarm_operator.api.user_data import UserDataError, parse_additions
from swarm_operator.api.validation import validate_cluster

GOOD_CLOUD_CONFIG = [
    # Commands and files
    "bootcmd: ['sysctl -w vm.swappiness=1', [cloud-init-per, once, label, e2label, /dev/vdb, data]]",
    "runcmd: [date, [logger, started], [sleep, 5], null]",
    "write_files: [{path: /etc/motd, content: hello, owner: 'root:adm', permissions: '0640', append: true, defer: true}]",
    "write_files: [{path: /opt/a, encoding: gz+b64, content: H4sIAAAA}, {path: /opt/b, encoding: B64, content: !!binary aGVsbG8=}, {path: /opt/empty}]",
    "write_files: [{path: /opt/c, permissions: 0644}, {path: /opt/d, permissions: '755'}, {path: /opt/e, content: }]",
    "write_files: [{path: /opt/f, source: {uri: 'https://files.example/f', headers: {Accept: text/plain, X-Try: 3}}}]",
    # Packages
    "packages: [htop, [curl, 8.5.0-2], [jq, 1.7], {snap: [yq, [juju, --edge]]}, {apt: [mg]}]\npackage_update: true\npackage_upgrade: yes\npackage_reboot_if_required: false",
    "packages: htop\npackage_update: 'true'\napt_upgrade: 1",
    """
apt:
  preserve_sources_list: true
  disable_suites: [$RELEASE-updates, backports]
  primary: [{arches: [amd64, default], uri: 'http://mirror.example/debian', search_dns: false, keyid: F430BBA5}]
  security: [{arches: [default], search: ['http://a.example', 'http://b.example']}]
  debconf_selections: {one: 'a a/b boolean true', 2: 'c c/d select e'}
  add_apt_repo_match: '^[\\w-]+:\\w'
  sources_list: 'deb $MIRROR $RELEASE main'
  conf: 'APT { Get { Assume-Yes "true"; } }'
  proxy: http://proxy.example:3128
  http_proxy: http://proxy.example:3128
  https_proxy: http://proxy.example:3128
  ftp_proxy: http://proxy.example:3128
  sources:
    docker.list: {source: 'deb [signed-by=$KEY_FILE] https://docker.example stable', keyid: 9DC8, keyserver: keys.example, append: false}
    ppa: {source: 'ppa:team/tool', filename: tool.list}
    key_only: {key: '-----BEGIN PGP PUBLIC KEY BLOCK-----'}
apt_pipelining: os
""",
    "snap: {commands: {00: snap install lxd, 1: [install, vlc]}, assertions: {00: blob}}",
    "snap: {commands: [[snap, refresh], snap set system x=y], assertions: [blob, other]}",
    "yum_repos: {epel: {baseurl: 'https://epel.example/$basearch', enabled: false, gpgcheck: 1, name: EPEL, exclude: [a, b]}, own: {metalink: 'https://m.example'}}\nyum_repo_dir: /etc/y.d",
    # Users
    """
users:
  - default
  - name: ada
    gecos: Ada
    groups: [docker, adm]
    primary_group: ada
    shell: /bin/bash
    sudo: ['ALL=(ALL) NOPASSWD:ALL']
    ssh_authorized_keys: [ssh-ed25519 AAAA ada]
    ssh_import_id: ['gh:ada']
    lock_passwd: true
    expiredate: '2032-09-01'
    uid: 1500
  - {name: bob, groups: 'users, adm', sudo: null, lock-passwd: false, passwd: $6$salt$hash, expiredate: 2032-09-01, inactive: '5'}
  - {name: svc, system: true, no_create_home: true, no_user_group: true, no_log_init: true, homedir: /srv, sudo: false, inactive: true, uid: '990'}
  - {name: eve, ssh_redirect_user: true, selinux_user: staff_u, doas: [permit nopass eve], create_groups: false, hashed_passwd: x, plain_text_passwd: 12345}
  - {snapuser: ada@example.org}
  - fay
groups: [docker, {admins: [root, sys]}, {lone: ada}]
""",
    "groups: 'docker,admins'",
    "groups: {admins: [ada]}\nusers: [default]",
    "password: 12345\nchpasswd: {expire: false, users: [{name: ada, password: x}, {name: bob, type: RANDOM}, {name: eve, password: x, type: text}]}\nssh_pwauth: true",
    "chpasswd: {list: 'ada:x', expire: 'no'}\nssh_pwauth: unchanged",
    "chpasswd: {list: ['ada:x', 'bob:RANDOM']}",
    "ssh_authorized_keys: [ssh-ed25519 AAAA ada]\nssh_import_id: [ada, 'lp:bob']\nssh_quiet_keygen: true\nssh_publish_hostkeys: {enabled: true, blacklist: [rsa]}",
    "ssh_import_id: ada\ndisable_root: false\ndisable_root_opts: no-port-forwarding\nauthkey_hash: sha512",
    # Disks
    """
device_aliases: {data: /dev/vdb, pages: /dev/vdc}
disk_setup:
  data: {table_type: gpt, layout: [33, [33, 82], [34, 44479540-F297-41B2-9AF7-D131D5F0458A]], overwrite: true}
  pages: {table_type: mbr, layout: true}
  /dev/vdd: {layout: remove}
fs_setup:
  - {label: one, filesystem: ext4, device: data.1, partition: auto, overwrite: false}
  - {label: null, filesystem: xfs, device: /dev/vdd, partition: 1, extra_opts: [-K], replace_fs: ntfs}
  - {cmd: mkfs -t %(filesystem)s %(device)s, filesystem: btrfs, device: /dev/vde, partition: none}
  - {cmd: [mkfs.zfs, /dev/vdf], device: /dev/vdf, partition: '2'}
mounts: [[data.1, /srv], [vdd, /opt, auto, 'defaults,nofail', '0', 2], [swap, none, swap, sw, 0, 0], [ephemeral0], [swap, null]]
mount_default_fields: [null, null, auto, 'defaults,nofail', '0', '2']
swap: {filename: /swap.img, size: auto, maxsize: 10485760}
growpart: {mode: auto, devices: [/, /dev/vdb1], ignore_growroot_disabled: false}
resize_rootfs: noblock
""",
    "swap: {filename: /swap.img, size: 1.5G, maxsize: 2GB}\ngrowpart: {mode: off}\nresize_rootfs: false",
    # The rest
    "ca_certs: {remove_defaults: true, trusted: ['-----BEGIN CERTIFICATE-----']}",
    "ca-certs: {remove-defaults: false, trusted: pem}",
    """
ntp:
  enabled: true
  ntp_client: chrony
  servers: [ntp1.example]
  pools: []
  peers: [km1]
  allow: [10.0.0.0/8]
  config: {confpath: /etc/x.conf, check_exe: xd, packages: [x], service_name: xd, template: '## template:jinja'}
""",
    "ntp:",
    "timezone: Europe/Berlin\nlocale: de_DE.UTF-8\nlocale_configfile: /etc/default/locale\nkeyboard: {layout: de, model: pc105, variant: nodeadkeys, options: 'compose:rwin'}",
    "locale: false\nbyobu_by_default: disable",
    "power_state: {mode: reboot, delay: now, message: Bye, timeout: 30, condition: test -f /run/again}",
    "power_state: {mode: halt, delay: '+5', condition: [test, -f, /x], timeout: 2.5}\nfinal_message: 'up after $UPTIME'",
    "phone_home: {url: 'https://home.example/$INSTANCE_ID', post: [pub_key_ed25519, hostname], tries: 5}",
    "phone_home: {url: 'https://home.example', post: all, tries: '3'}",
    """
rsyslog:
  config_dir: /etc/rsyslog.d
  config_filename: 20-own.conf
  configs: ['*.* @@10.0.0.1', {content: '*.* @10.0.0.2:514', filename: 01-b.conf}]
  remotes: {maas: 10.0.0.3, juju: null}
  service_reload_command: [systemctl, restart, rsyslog]
  install_rsyslog: true
  packages: [rsyslog]
  check_exe: rsyslogd
""",
    "rsyslog: ['*.* @@10.0.0.1', {content: x}]",
    "manage_resolv_conf: true\nresolv_conf: {nameservers: [10.0.0.53], searchdomains: [a.example], domain: a.example, sortlist: [10.0.0.1/255], options: {rotate: true, timeout: 1}}",
    "random_seed: {file: /dev/urandom, data: abc, encoding: raw, command: [pollinate], command_required: true}",
    # Not looked into
    "ansible: {install_method: pip}\nlxd: {}\nwireguard: []\nzypper: {}\nubuntu_pro: {}\noutput: {all: '| tee -a /var/log/x'}",
    "something_that_a_later_cloud_init_has: {a: [1]}",
]


@pytest.mark.parametrize("text", GOOD_CLOUD_CONFIG)
def test_what_cloud_init_takes_is_taken(text: str) -> None:
    assert cloud_config_problems(yaml.safe_load(text)) == []
    parse_additions(f"#cloud-config\n{text}", "CloudInit")


BAD_CLOUD_CONFIG = [
    ("packages: 1", "packages: must be a list of packages, not a number"),
    ("packages: [htop, 3]", "packages[1]: must be a package, a list of it and its version, or a mapping of a package manager to packages, not a number"),
    ("packages: [{apt: mg}]", "packages[0].apt: must be a list of packages, not a string"),
    ("packages: [{apt: [[]]}]", "packages[0].apt[0]: must have at least 1 entries"),
    ("package_update: maybe", "package_update: must be true or false"),
    ("package_upgrade: [true]", "package_upgrade: must be true or false, not a list"),
    ("package: [htop]", "package: is not known; `packages` is"),
    ("write-files: []", "write-files: is not known; `write_files` is"),
    ("run_cmd: [date]", "run_cmd: is not known; `runcmd` is"),
    ("runcmd: reboot", "runcmd: must be a list, not a string"),
    (
        "runcmd: [date, {echo note: done}]",
        "runcmd[1]: must be a string or a list of strings (a string with a colon and a space in it needs quotes), not a mapping",
    ),
    ("bootcmd: [[date, [x]]]", "bootcmd[0][1]: must be a string or a number, not a list"),
    ("bootcmd: [true]", "bootcmd[0]: must be a string or a list of strings (a string with a colon and a space in it needs quotes), not true or false"),
    ("bootcmd:", "bootcmd: must be a list, not nothing"),
    ("users:", "users: must be a list that holds `default`: the operator logs in as that user"),
    ("write_files: [/etc/motd]", "write_files[0]: must be a mapping, not a string"),
    ("write_files: [{path: /a}, {path: /b, permissions: rw-r--r--}]", "write_files[1].permissions: must be an octal number in quotes, such as '0644'"),
    ("write_files: [{path: /a, permissions: '0888'}]", "write_files[0].permissions: must be an octal number in quotes, such as '0644'"),
    ("write_files: [{path: /a, permissions: 10644}]", "write_files[0].permissions: must be at most 4095"),
    ("write_files: [{path: /a, contents: x}]", "write_files[0].contents: is not known; `content` is"),
    ("write_files: [{path: /a, mode: x}]", "write_files[0].mode: is not known here"),
    ("write_files: [{path: /a, content: 5}]", "write_files[0].content: must be a string, not a number"),
    ("write_files: [{content: x}]", "write_files[0].path: is required"),
    ("write_files: [{path: a, content: x}]", "write_files[0].path: must be absolute, without `..`"),
    ("write_files: [{path: /a, source: {url: 'http://x'}}]", "write_files[0].source.url: is not known here; write_files[0].source.uri: is required"),
    (
        "write_files: [{path: /a, encoding: zip}]",
        "write_files[0].encoding: must be one of `gz`, `gzip`, `gz+base64`, `gzip+base64`, `gz+b64`, `gzip+b64`, `b64`, `base64`, `text/plain`",
    ),
    ("apt: {source: {}}", "apt.source: is not known; `sources` is"),
    ("apt: {sources: {a: {keyId: x}}}", "apt.sources.a.keyId: is not known; `keyid` is"),
    ("apt: {sources: {a: deb x}}", "apt.sources.a: must be a mapping, not a string"),
    ("apt: {primary: [{uri: x}]}", "apt.primary[0].arches: is required"),
    ("apt: {preserve_sources_list: 3}", "apt.preserve_sources_list: must be true or false"),
    (
        "snap: {commands: {1: {a: b}}}",
        "snap.commands[1]: must be a string or a list of strings (a string with a colon and a space in it needs quotes), not a mapping",
    ),
    ("snap: [install]", "snap: must be a mapping, not a list"),
    ("yum_repos: {a: {enabled: true}}", "yum_repos.a: must have one of `baseurl`, `metalink`, `mirrorlist`"),
    ("yum_repos: [a]", "yum_repos: must be a mapping, not a list"),
    ("users: {default: {}}", "users: must be a list, not a mapping"),
    ("users: [default, {gecos: x}]", "users[1]: must have a `name` or a `snapuser`: cloud-init leaves it out else"),
    ("users: [default, {name: a, ssh_authorised_keys: [x]}]", "users[1].ssh_authorised_keys: is not known; `ssh_authorized_keys` is"),
    ("users: [default, {name: a, sudo: 7}]", "users[1].sudo: must be a rule, a list of rules or false, not a number"),
    ("users: [default, {name: 7}]", "users[1].name: must be a string, not a number"),
    ("groups: [[a]]", "groups[0]: must be the name of a group, or a mapping of it to its members, not a list"),
    ("chpasswd: {users: [{name: a}]}", "chpasswd.users[0]: must have a `password` unless its `type` is RANDOM"),
    ("chpasswd: {users: [{name: a, password: x, type: plain}]}", "chpasswd.users[0].type: must be one of `hash`, `text`, `random`"),
    ("ssh_pwauth: sometimes", "ssh_pwauth: must be true, false or `unchanged`"),
    ("ssh_authorized_keys: [{a: b}]", "ssh_authorized_keys[0]: must be a string, not a mapping"),
    ("disk_setup: {/dev/vdb: {table_type: lvm}}", "disk_setup./dev/vdb.table_type: must be one of `mbr`, `gpt`"),
    ("disk_setup: {/dev/vdb: {layout: [[50]]}}", "disk_setup./dev/vdb.layout[0]: must have at least 2 entries"),
    ("fs_setup: [{filesystem: ext4}]", "fs_setup[0].device: is required"),
    ("fs_setup: [{device: /dev/vdb}]", "fs_setup[0]: must have a `filesystem`"),
    ("fs_setup: [{device: /dev/vdb, filesystem: ext4, partition: first}]", "fs_setup[0].partition: must be a number, `auto`, `any` or `none`"),
    ("mounts: [/srv]", "mounts[0]: must be a list, not a string"),
    ("mounts: [[vdb, /srv, auto, defaults, '0', '2', x]]", "mounts[0]: must have at most 6 entries"),
    ("mount_default_fields: [auto]", "mount_default_fields: must have at least 6 entries"),
    ("swap: {size: 2 gigabytes}", "swap.size: must be `auto` or a size, such as 2G"),
    ("swap: {file: /swap}", "swap.file: is not known here"),
    ("growpart: {mode: always}", "growpart.mode: must be one of `auto`, `growpart`, `growfs`, `gpart`, `off`, `false`"),
    ("ca_certs: {trust: [x]}", "ca_certs.trust: is not known; `trusted` is"),
    ("ntp: {server: [a]}", "ntp.server: is not known; `servers` is"),
    ("ntp: {pools: [1]}", "ntp.pools[0]: must be a string, not a number"),
    ("timezone: [x]", "timezone: must be a string, not a list"),
    ("locale: 3", "locale: must be the name of a locale, or false, not a number"),
    ("keyboard: {model: pc105}", "keyboard.layout: is required"),
    ("power_state: {delay: now}", "power_state.mode: is required"),
    ("power_state: {mode: restart}", "power_state.mode: must be one of `poweroff`, `reboot`, `halt`"),
    ("power_state: {mode: halt, delay: soon}", "power_state.delay: must be `now` or a number of minutes"),
    ("phone_home: {url: 'http://x', tries: often}", "phone_home.tries: must be a whole number"),
    ("phone_home: {url: 'http://x', post: [password]}", "phone_home.post[0]: must be one of"),
    ("rsyslog: {configs: [{filename: x}]}", "rsyslog.configs[0].content: is required"),
    ("rsyslog: {remotes: {a: [b]}}", "rsyslog.remotes.a: must be a host, with a port maybe, not a list"),
    ("resolv_conf: {nameserver: [a]}", "resolv_conf.nameserver: is not known; `nameservers` is"),
    ("final_message: 1", "final_message: must be a string, not a number"),
    (
        "packages: 1\nrunscmd: []\nntp: {server: []}",
        "runscmd: is not known; `runcmd` is; packages: must be a list of packages, not a number; ntp.server: is not known; `servers` is",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD_CLOUD_CONFIG)
def test_what_cloud_init_does_not_take_is_told_with_its_path(text: str, message: str) -> None:
    with pytest.raises(UserDataError) as error:
        parse_additions(f"#cloud-config\n{text}", "CloudInit")
    if message.endswith("must be one of"):
        assert str(error.value).startswith(message)
    else:
        assert sorted(str(error.value).split("; ")) == sorted(message.split("; "))


@pytest.mark.parametrize("value", ["s3cr3t", ["s3cr3t"], [["s3cr3t"]], [{"s": "s3cr3t"}], {"s": "s3cr3t"}, {"s": ["s3cr3t"]}, b"s3cr3t"])
@pytest.mark.parametrize("key", sorted(CloudConfig.model_fields))
def test_no_value_is_told(key: str, value: Any) -> None:
    assert "s3cr3t" not in "".join(cloud_config_problems({key: value}))


def test_a_text_that_can_not_be_read_is_told_without_its_words() -> None:
    for text, message in [
        ("a: " + "[" * 2000, "nested too deeply"),
        ("password: 's3cr3t", r"is not YAML \(line [0-9]\)"),
        ("a: 2026-99-99", "can't be read"),
        ("a: !!timestamp s3cr3t", "can't be read"),
        ("a: !!bool s3cr3t", "can't be read"),
        ("a: !!int ''", "can't be read"),
        ("a: &a [*a]", "holds more than"),
        ("a: &a [" + "x," * 3000 + "]\nruncmd: [" + "*a," * 3000 + "]", "holds more than"),
    ]:
        with pytest.raises(UserDataError, match=message) as error:
            parse_additions(f"#cloud-config\n{text}", "CloudInit")
        assert "s3cr3t" not in str(error.value)
    for text, message in [
        ("[" * 20_000, "nested too deeply"),
        ('{"ignition": []}', "version 3"),
        ('{"ignition": {"version": ["3.3.0"]}}', "version 3"),
        ("[]", "version 3"),
    ]:
        with pytest.raises(UserDataError, match=message):
            parse_additions(text, "Ignition")


BASE: dict[str, Any] = {
    "identityRef": {"secretName": "s"},
    "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}},
    "workerPools": [{"name": "a"}, {"name": "b"}],
}


def test_the_field_of_the_manifest_is_where_the_text_is() -> None:
    bad = {"inline": "#cloud-config\npackages: 1\n"}
    told = "packages: must be a list of packages, not a number"

    def found(**spec: Any) -> list[str]:
        return [str(problem) for problem in validate_cluster(parse_cluster({**BASE, **spec}))]

    assert found(machine={**BASE["machine"], "userData": bad}) == [f"spec.machine.userData.inline: {told}"], "once, though all pools inherit it"
    assert found(managers={"machine": {"userData": bad}}) == [f"spec.managers.machine.userData.inline: {told}"]
    assert found(workerPools=[{"name": "a"}, {"name": "b", "machine": {"userData": bad}}]) == [f"spec.workerPools[1].machine.userData.inline: {told}"]
    good = {"inline": "#cloud-config\npackages: [htop]\n"}
    assert found(machine={**BASE["machine"], "userData": good}, workerPools=[{"name": "a", "machine": {"os": "Ignition"}}]) == [
        "spec.workerPools[0].machine.userData.inline: is not JSON: an Ignition config is (Butane makes one out of YAML)"
    ]
