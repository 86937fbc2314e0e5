"""Executes a Dockerfile without a container engine: each stage is an overlay on a Debian root file system, each RUN a chroot in namespaces of its own, and the result starts as a pod would.

What differs from an engine: the base image is a debootstrap of the same suite (variant minbase, which Debian's own image is made of too), there is one layer for a stage, and the
network is the machine's. Needs root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness import dockerfile
from harness.dockerfile import Instruction, Stage
from swarmlab import paths
from swarmlab.hosts import guestimage

BASES = {"debian:12-slim": "bookworm"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUILD_TIME = re.compile(r"PIP_(?!CERT$|FIND_LINKS$)\w+|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY")
"""Variables that say how this machine reaches the package registries. They are given to RUN, as `docker build --build-arg` would, and stay out of the image."""


@dataclass
class Root:
    """A stage at work: its file system, and what ENV, WORKDIR, USER, LABEL, ENTRYPOINT and CMD have set."""

    path: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = "0:0"
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


class Builder:
    """Builds in `work`, from the build context `context`. Leave it as a context manager: it unmounts, and removes what it built."""

    def __init__(self, context: Path, work: Path) -> None:
        self.context = context
        self.work = work
        self.log = work / "build.log"
        self.roots: dict[str, Root] = {}
        ignore = context / ".dockerignore"
        self.ignore = dockerfile.ignore_patterns(ignore.read_text()) if ignore.exists() else []

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        for root in self.roots.values():
            subprocess.run(["umount", "-l", str(root.path)], check=True)
            shutil.rmtree(root.path.parent)

    def build(self, stages: list[Stage]) -> Root:
        """All stages; the last one is the image. Raises AssertionError with the end of the log."""
        for stage in stages:
            self.roots[stage.name] = root = self.mounted(stage)
            for step in stage.instructions:
                self.execute(root, step)
        return self.roots[stages[-1].name]

    def mounted(self, stage: Stage) -> Root:
        """An empty layer over the stage's base."""
        place = self.work / f"stage-{stage.name}"
        for name in ("upper", "work", "root"):
            (place / name).mkdir(parents=True)
        options = f"lowerdir={base_root(BASES[stage.base])},upperdir={place / 'upper'},workdir={place / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(place / "root")], check=True)
        return Root(place / "root")

    def execute(self, root: Root, step: Instruction) -> None:
        """One instruction."""
        words = tuple(dockerfile.expand(word, root.env) for word in step.words)
        match step.name:
            case "RUN":
                self.run(root, step.words[0])
            case "COPY":
                self.copy(root, words, step.flags.get("from"))
            case "ENV":
                root.env |= dict(word.split("=", 1) for word in words)
            case "LABEL":
                root.labels |= dict(word.split("=", 1) for word in words)
            case "WORKDIR":
                root.workdir = str(PurePosixPath(root.workdir, words[0]))
                (root.path / root.workdir[1:]).mkdir(parents=True, exist_ok=True)
            case "USER":
                root.user = words[0]
            case "ENTRYPOINT":
                root.entrypoint = step.words
            case "CMD":
                root.command = step.words

    def copy(self, root: Root, words: tuple[str, ...], stage: str | None) -> None:
        """COPY: a folder's content, or files into a folder, owned by root."""
        *sources, target = words
        destination = root.path / PurePosixPath(root.workdir, target).relative_to("/")
        into = target.endswith("/") or len(sources) > 1
        for name in sources:
            source = self.roots[stage].path / name.lstrip("/") if stage else self.context / name
            if not stage:
                assert source.resolve().is_relative_to(self.context.resolve()), f"{name} is outside of the context"
                assert not dockerfile.ignored(PurePosixPath(name), self.ignore), f".dockerignore keeps {name} out of the context"
            if source.is_dir():
                shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True, ignore=None if stage else self.ignored)
            else:
                destination.mkdir(parents=True, exist_ok=True) if into else destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, destination / source.name if into else destination, follow_symlinks=False)
        if not stage:
            subprocess.run(["chown", "-R", "-h", "0:0", str(destination)], check=True)

    def ignored(self, folder: str, names: list[str]) -> set[str]:
        """For copytree."""
        here = PurePosixPath(Path(folder).resolve().relative_to(self.context.resolve()))
        return {name for name in names if dockerfile.ignored(here / name, self.ignore)}

    def run(self, root: Root, command: str) -> None:
        """RUN in shell form. Resolver, mirror and authorities of this machine are there for its time only."""
        reach = self.work / "reach"
        if not reach.exists():
            reach.mkdir()
            write_reach(reach)
        links = os.environ.get("PIP_FIND_LINKS", "")
        script = """
            root=$1; reach=$2; links=$3; user=$4; workdir=$5; command=$6; shift 6
            mount --bind "$root" "$root"; cd "$root"
            mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs tmpfs tmp; mount -t tmpfs tmpfs run
            mkdir run/reach; mount --bind "$reach" run/reach
            for file in resolv.conf hosts apt/sources.list; do mount --bind "$reach/$(basename $file)" "etc/$file"; done
            if [ -d "$links" ]; then mkdir run/links; mount --bind "$links" run/links; set -- PIP_FIND_LINKS=/run/links "$@"; fi
            exec chroot --userspec="$user" . env -i "$@" /bin/sh -c "cd $workdir && $command"
        """
        reaching = {name: value for name, value in os.environ.items() if BUILD_TIME.fullmatch(name)}
        env = reaching | {"PIP_CERT": "/run/reach/ca.pem", "APT_CONFIG": "/run/reach/apt.conf", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"} | root.env
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", script, "run", str(root.path), str(reach), links]
        with self.log.open("ab") as out:
            done = subprocess.run(
                [*argv, root.user, root.workdir, command, *(f"{name}={value}" for name, value in env.items())],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
            )
        assert done.returncode == 0, f"RUN {command}: exit {done.returncode}\n{self.log.read_text()[-3000:]}"


def write_reach(directory: Path) -> None:
    """How this machine reaches name servers, mirror and registries, as files."""
    for name in ("resolv.conf", "hosts"):
        source = Path("/etc", name)
        (directory / name).write_bytes(source.read_bytes() if source.exists() else b"")
    sources = guestimage.debian_sources(guestimage.apt_sources(), "bookworm")
    (directory / "sources.list").write_text("".join(f"deb {s.uri} {' '.join(s.suites)} {' '.join(s.components)}\n" for s in sources))
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    (directory / "apt.conf").write_text("\n".join([*guestimage.acquire_settings(dump), ""]))
    authorities = Path(os.environ.get("PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt")
    (directory / "ca.pem").write_bytes(authorities.read_bytes())


def base_root(suite: str) -> Path:
    """A minbase root of the suite, made once (about a minute) and kept in the lab's cache. It names no mirror."""
    place = paths.CACHE / "images" / f"minbase-{suite}"
    if place.exists():
        return place
    unfinished = place.with_suffix(".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    sources = guestimage.debian_sources(guestimage.apt_sources(), suite)
    argv = ["debootstrap", "--variant=minbase", f"--keyring={guestimage.DEBIAN_KEYRING}", suite, str(unfinished), sources[0].uri]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for path in (*unfinished.glob("var/lib/apt/lists/*"), *unfinished.glob("var/cache/apt/*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("resolv.conf", "hosts", "apt/sources.list"):
        (unfinished / "etc" / name).write_text("")
    unfinished.rename(place)
    return place


def pod(root: Root, args: list[str], volumes: Mapping[str, Path], env: Mapping[str, str]) -> list[str]:
    """The command that starts the image as a restricted pod does: read-only root, /tmp in memory, the image's user, no capability, no new privileges, PID 1 of its own PID namespace.
    `args` go in the place of CMD; `volumes` maps a path inside to a folder here, read-only. Nothing of our environment goes in."""
    script = """
        root=$1; user=${2%:*}; group=${2#*:}; workdir=$3; volumes=$4; shift 4
        mount --bind "$root" "$root"
        while [ "$volumes" -gt 0 ]; do chroot "$root" mkdir -p "$1"; mount --bind -o ro "$2" "$root$(chroot "$root" realpath "$1")"; shift 2; volumes=$((volumes-1)); done
        mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount -t tmpfs -o size=16m,mode=1777 tmpfs "$root/tmp"
        mount -o remount,bind,ro "$root"
        cd "$root"
        exec chroot . setpriv --reuid="$user" --regid="$group" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all sh -c 'cd "$1" && shift && exec env -i "$@"' sh "$workdir" "$@"
    """
    mounts = [word for inside, here in volumes.items() for word in (inside, str(here))]
    variables = [f"{name}={value}" for name, value in (root.env | dict(env)).items()]
    argv = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "bash",
        "-euc",
        script,
        "pod",
        str(root.path),
        root.user,
        root.workdir,
        str(len(volumes)),
        *mounts,
    ]
    return [*argv, *variables, *root.entrypoint, *args]
