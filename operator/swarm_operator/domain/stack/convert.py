"""`convert(text, input)`: a compose file as the SwarmServices and networks that it comes to.

What `docker stack deploy` makes of a file is the measure (docker/cli `cli/compose`, file format 3.13); tests compare the two on a real engine. Every service is checked as the
API server and the operator check a SwarmService, so that a file with a mistake is refused as a whole, before anything of it is written. Keys that docker ignores are ignored
and told, others are problems that name their place.
"""

from __future__ import annotations

import re

from swarm_operator.api.parse import Problem, SpecError, parse_service
from swarm_operator.api.validation import validate_service
from swarm_operator.domain.stack.compose import load
from swarm_operator.domain.stack.files import declared_files, files_of
from swarm_operator.domain.stack.mounts import declared_volumes, mounts_of
from swarm_operator.domain.stack.networks import attachments, declared_networks
from swarm_operator.domain.stack.notes import Notes
from swarm_operator.domain.stack.parts import Converted, Json, StackInput, StackNetwork, StackService, given
from swarm_operator.domain.stack.rules import rule_problems
from swarm_operator.domain.stack.section import Section
from swarm_operator.domain.stack.service import service_of

MOST_SERVICES = 256
_NAME = re.compile(r"[a-zA-Z0-9._-]+")


def convert(text: str, wanted: StackInput) -> Converted:
    """Raises nothing, whatever the text."""
    notes = Notes()
    data = load(text, wanted.variables, notes)
    if notes.problems:
        return Converted(problems=tuple(notes.problems))
    root = Section(data, "", notes)
    root.raw("version")
    if root.raw("name") not in (None, wanted.stack):
        notes.ignored.append("name is ignored: the SwarmStack says it")
    if root.has("include"):
        root.notes.problems.append(Problem("include", "can't be carried out: there is no other file"))
    volumes, networks = declared_volumes(root, wanted.stack), declared_networks(root, wanted.stack)
    configs, secrets = declared_files(root, "configs", wanted.configs), declared_files(root, "secrets", wanted.secrets)
    listed = root.section("services")
    services: list[StackService] = []
    needed: dict[str, StackNetwork] = {}
    names: dict[str, str] = {}
    for name in listed.names():
        if not _NAME.fullmatch(name):
            listed.fail(name, "must have a name of letters, digits, `.`, `_` and `-`")
            continue
        section = listed.section(name)
        spec = service_of(section, wanted.stack, wanted.variables)
        attached, behind = attachments(section, name, networks)
        spec |= given(mounts=mounts_of(section, volumes), networks=attached)
        spec |= given(configs=files_of(section, "configs", configs), secrets=files_of(section, "secrets", secrets))
        section.close()
        needed |= {network.name: network.own for network in behind if network.own is not None}
        object_name = service_object_name(wanted.object_name, name)
        if object_name in names:
            section.fail("", f"must not be named like {names[object_name]!r}: both would be the SwarmService {object_name!r}")
        names[object_name] = name
        full: Json = {**wanted.base, "serviceName": f"{wanted.stack}_{name}", **spec}
        services.append(StackService(name, object_name, full, tuple(sorted(network.name for network in behind))))
    root_problems = len(notes.problems)
    if not services and not root_problems:
        notes.problems.append(Problem("services", "must hold a service; delete the SwarmStack to remove all of them"))
    if len(services) > MOST_SERVICES:
        notes.problems.append(Problem("services", f"must not be more than {MOST_SERVICES}"))
    for key in data:
        if key not in ("version", "name", "include", "services", "volumes", "networks", "configs", "secrets") and not key.startswith("x-"):
            notes.problems.append(Problem(key, "is not known"))
    if not notes.problems:
        notes.problems += [problem for service in services for problem in _invalid(service)]
    if notes.problems:
        return Converted(warnings=notes.warnings(), problems=tuple(notes.problems))
    return Converted(tuple(services), tuple(needed[name] for name in sorted(needed)), notes.warnings())


def service_object_name(stack: str, service: str) -> str:
    """Name of the SwarmService object: Kubernetes takes no capitals and underscores."""
    return re.sub(r"[^a-z0-9.]+", "-", f"{stack}-{service}".lower()).strip("-.")


def _invalid(service: StackService) -> list[Problem]:
    """What the SwarmService would be refused for."""
    try:
        spec = parse_service(service.spec)
        problems = validate_service(spec)
        if not problems and (refused := list(rule_problems(service.name, spec))):
            return refused
    except SpecError as error:
        problems = list(error.problems)
    if len(service.object_name) > 253:
        problems.append(Problem("spec", "metadata.name would be longer than 253 characters"))
    return [Problem(f"services.{service.name}", f"as SwarmService: {problem}") for problem in problems]
