"""One service of the file as the spec of a SwarmService (docker/cli `cli/compose/convert/service.go`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from swarm_operator.domain.stack.deploy import deploy_of
from swarm_operator.domain.stack.parts import IMAGE_LABEL, NAMESPACE_LABEL, Json, given
from swarm_operator.domain.stack.ports import ports_of
from swarm_operator.domain.stack.section import Section

IGNORED: Final = (
    "build",
    "cgroup",
    "cgroupns_mode",
    "cgroup_parent",
    "container_name",
    "depends_on",
    "develop",
    "devices",
    "domainname",
    "expose",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "network_mode",
    "pid",
    "platform",
    "privileged",
    "profiles",
    "pull_policy",
    "security_opt",
    "shm_size",
    "userns_mode",
)
"""docker/cli ignores these (`cli/compose/types`, UnsupportedProperties and DeprecatedProperties); some of later versions of the specification are like them."""
REFUSED: Final = {
    "extends": "can't be carried out: there is no other file",
    "env_file": "can't be carried out: there is no such file; put variables into `environment`, values from elsewhere into spec.env and spec.envFrom",
    **dict.fromkeys(
        ("cpus", "cpu_quota", "cpu_shares", "cpuset", "mem_limit", "mem_reservation", "memswap_limit", "pids_limit"), "must be set in deploy.resources"
    ),
    "scale": "must be set as deploy.replicas",
    "volume_driver": "must be set in the file's `volumes`",
    "volumes_from": "can't be carried out: declare a volume in `volumes` and name it in both services",
}
"""What would change a service if it were left out (docker/cli, ForbiddenProperties, and relatives)."""


def service_of(section: Section, stack: str, variables: Mapping[str, str]) -> Json:
    """All but mounts, networks, configs and secrets, which need the rest of the file."""
    image = section.text("image")
    if image is None:
        section.fail("image", "is required: swarm runs images and builds none")
    section.ignore(*IGNORED)
    for key, message in REFUSED.items():
        section.refuse(message, key)
    labels = section.labels("labels")
    deployed = deploy_of(section)
    spec = given(
        image=image,
        command=section.words("entrypoint"),
        args=section.words("command"),
        env=_environment(section, variables),
        workingDir=section.text("working_dir"),
        user=section.text("user"),
        groups=_groups(section),
        hostname=section.text("hostname"),
        containerLabels={**labels, NAMESPACE_LABEL: stack},
        hostAliases=_extra_hosts(section),
        init=section.flag("init"),
        tty=section.flag("tty") or None,
        stdin=section.flag("stdin_open") or None,
        readOnly=section.flag("read_only") or None,
        stopSignal=section.text("stop_signal"),
        stopGracePeriodSeconds=section.duration("stop_grace_period"),
        capabilities=_capabilities(section),
        sysctls=section.labels("sysctls"),
        ulimits=_ulimits(section),
        oomScoreAdj=section.integer("oom_score_adj") or None,
        isolation=section.text("isolation"),
        privileges=given(credentialSpec=_credential_spec(section)),
        dnsConfig=given(nameservers=section.texts("dns"), searches=section.texts("dns_search"), options=section.texts("dns_opt")),
        healthcheck=_healthcheck(section),
        logDriver=_logging(section),
        ports=ports_of(section),
    )
    return {**spec, **deployed, "labels": {**deployed.get("labels", {}), NAMESPACE_LABEL: stack, IMAGE_LABEL: image or ""}}


def _environment(section: Section, variables: Mapping[str, str]) -> list[Json]:
    """Sorted by name, as docker/cli does. A name without a value takes that of the variable."""
    found = []
    for name, value in sorted(section.pairs("environment").items()):
        chosen = variables.get(name) if value is None else value
        if chosen is None:
            section.notes.ignored.append(f"{section.path}.environment.{name} is ignored: it has no value, and there is no variable of that name")
        else:
            found.append({"name": name, "value": chosen})
    return found


def _groups(section: Section) -> list[str]:
    return [str(entry) for _, entry in section.entries("group_add")]


def _extra_hosts(section: Section) -> list[Json]:
    """`HOST:IP`, `HOST=IP`, or a mapping; one entry each, in the order of the file."""
    raw, found = section.raw("extra_hosts"), []
    if isinstance(raw, dict):
        pairs = list(raw.items())
    else:
        pairs = []
        for text in section.texts("extra_hosts"):
            host, _, address = text.partition("=") if "=" in text else text.partition(":")
            pairs.append((host, address))
    for host, address in pairs:
        for one in address if isinstance(address, list) else [address]:
            if not host or not isinstance(one, str) or not one:
                section.fail("extra_hosts", f"must have entries of the form HOST:IP, unlike {host!r}")
            else:
                found.append({"ip": one.strip("[]"), "hostnames": [host]})
    return found


def _capabilities(section: Section) -> Json:
    """As docker/cli: ALL swallows the others, and what is added is not dropped."""
    added = _effective(section.texts("cap_add"))
    dropped = [name for name in _effective(section.texts("cap_drop")) if name not in added]
    return given(add=added, drop=dropped)


def _effective(names: list[str]) -> list[str]:
    upper = {name.upper().strip() for name in names}
    full = sorted({name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper})
    return ["ALL"] if "ALL" in full else full


def _ulimits(section: Section) -> list[Json]:
    limits = section.section("ulimits")
    found = []
    for name in sorted(limits.names()):
        if isinstance(limits.raw(name), dict):
            both = limits.section(name)
            soft, hard = both.integer("soft"), both.integer("hard")
            both.close()
            if soft is None or hard is None:
                both.fail("", "must have soft and hard")
                continue
        else:
            soft = hard = limits.integer(name)
        if soft is not None:
            found.append({"name": name, "soft": soft, "hard": hard})
    return found


def _credential_spec(section: Section) -> Json:
    spec = section.section("credential_spec")
    spec.refuse("can't be carried out: use `file` or `registry`", "config")
    found = given(file=spec.text("file"), registry=spec.text("registry"))
    spec.close()
    return found


def _healthcheck(section: Section) -> Json | None:
    if not section.has("healthcheck"):
        return None
    check = section.section("healthcheck")
    raw = check.raw("test")
    test = ["CMD-SHELL", raw] if isinstance(raw, str) and raw else check.texts("test")
    disabled = check.flag("disable") or test == ["NONE"]
    found = given(
        test=test,
        intervalSeconds=check.duration("interval"),
        timeoutSeconds=check.duration("timeout"),
        retries=check.integer("retries"),
        startPeriodSeconds=check.duration("start_period"),
        startIntervalSeconds=check.duration("start_interval"),
    )
    check.close()
    if disabled and test not in ([], ["NONE"]):
        check.fail("test", "must not be set with `disable`")
    return {"disable": True} if disabled else found or None


def _logging(section: Section) -> Json | None:
    if not section.has("logging"):
        return None
    log = section.section("logging")
    driver, options = log.text("driver"), log.labels("options")
    log.close()
    if driver is None:
        log.fail("driver", "is required: options go with a driver")
    return given(name=driver, options=options)
