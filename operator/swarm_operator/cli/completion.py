"""Completion of commands in shells.

kubectl asks `kubectl_complete-swarm` with the words after `kubectl swarm`, the last one unfinished, and reads what cobra's programs print: a candidate in each line, a tab and a description if
there is one, and at last a colon and a number (kubernetes/kubectl `pkg/cmd/plugin_completion.go`, spf13/cobra `completions.go`). So the completion of kubectl does, in every shell that it
knows. The scripts that `completion` prints are for `kubectl-swarm` called by its own name.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from swarm_operator.domain.errors import ExternalError

Json = dict[str, Any]
FILES: Final = 0
"""Directive: the shell may offer files (ShellCompDirectiveDefault)."""
NO_FILES: Final = 4
"""Directive: it may not (ShellCompDirectiveNoFileComp)."""
ROTATIONS: Final = ("join-tokens", "unlock-key", "ca")
_FILE_FLAGS: Final = frozenset({"filename", "file", "directory", "kubeconfig"})
SHELLS: Final = {
    "bash": r"""_kubectl_swarm() {
  local found directive IFS=$'\n'
  found=($(kubectl_complete-swarm "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  directive=${found[-1]}
  COMPREPLY=($(compgen -W "$(printf '%s\n' "${found[@]:0:${#found[@]}-1}" | cut -f1)" -- "${COMP_WORDS[COMP_CWORD]}"))
  [ "$directive" = ":0" ] && compopt -o default
}
complete -F _kubectl_swarm kubectl-swarm
""",
    "zsh": r"""#compdef kubectl-swarm
_kubectl_swarm() {
  local -a lines found
  lines=("${(@f)$(kubectl_complete-swarm "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("${(@)${(@)lines[1,-2]//:/\\:}/$'\t'/:}")
  [[ -n "$found" ]] && _describe 'kubectl swarm' found
  [[ "${lines[-1]}" == ":0" ]] && _files
}
compdef _kubectl_swarm kubectl-swarm
""",
    "fish": r"""function __kubectl_swarm
  set -l words (commandline -opc) (commandline -ct)
  set -l found (kubectl_complete-swarm $words[2..-1] 2>/dev/null)
  string match -rv '^:\d+$' -- $found
  string match -q ':0' -- $found[-1]; and __fish_complete_path (commandline -ct)
end
complete -c kubectl-swarm -f -a '(__kubectl_swarm)'
""",
}


class Names(Protocol):
    """What is asked of the API server."""

    def list(self, plural: str, namespace: str | None) -> list[Json]: ...
    def namespaces(self) -> builtins.list[str]: ...


OpenNames = Callable[[argparse.Namespace], tuple[Names, str]]
"""The API server by the flags that were typed, and the namespace. Raises ExternalError."""


def complete(top: argparse.ArgumentParser, words: Sequence[str], open_names: OpenNames, contexts: Callable[[], list[str]]) -> tuple[list[str], int]:
    """Candidates for the last of `words` (each with a tab and a description, where there is one), and the directive."""
    *before, last = words or [""]
    verbs = _verbs(top)
    position = next((index for index, word in enumerate(before) if word in verbs.choices), None)
    parser = top if position is None else verbs.choices[before[position]]
    flags = {option: action for action in parser._actions for option in action.option_strings}
    flag, sign, partial = last.partition("=")
    pending = flags.get(flag) if sign else flags.get(before[-1]) if before and position != len(before) - 1 else None
    if pending is not None and pending.nargs != 0:
        typed, head = (partial, f"{flag}=") if sign else (last, "")
        if pending.dest in _FILE_FLAGS:
            return [], FILES
        values = [str(choice) for choice in pending.choices] if pending.choices else _values(pending.dest, top, before, open_names, contexts)
        return [head + value for value in values if value.startswith(typed)], NO_FILES
    if last.startswith("-"):
        return [f"{option}\t{action.help or ''}" for option, action in flags.items() if option.startswith(last) and option.startswith("--")], NO_FILES
    if position is None:
        helps = {choice.dest: choice.help or "" for choice in verbs._choices_actions}
        return [f"{name}\t{helps.get(name, '')}" for name in verbs.choices if name.startswith(last)], NO_FILES
    kind = parser.get_default("completes")
    if kind == "shell":
        return [name for name in SHELLS if name.startswith(last)], NO_FILES
    if kind == "rotation":
        named = [word for word in before[position + 1 :] if not word.startswith("-")]
        if named:
            return [what for what in ROTATIONS if what.startswith(last) and what not in named], NO_FILES
        kind = "cluster"
    return [name for name in _names(kind, top, before, open_names) if name.startswith(last)], NO_FILES


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `kubectl_complete-swarm`. Never fails: a shell in the midst of a line has no use for an error."""
    from swarm_operator.cli.plugin import parser

    # The API server's client is imported where the line needs names: all else is there at once.
    def open_names(arguments: argparse.Namespace) -> tuple[Names, str]:
        from swarm_operator.adapters.kubernetes.user import UserApi

        api = UserApi(arguments.kubeconfig, arguments.context)
        return api, arguments.namespace or api.namespace

    def contexts() -> list[str]:
        from swarm_operator.adapters.kubernetes.user import context_names

        return context_names()

    candidates, directive = complete(parser(), sys.argv[1:] if argv is None else list(argv), open_names, contexts)
    sys.stdout.write("".join(f"{line}\n" for line in candidates) + f":{directive}\n")
    return 0


def _verbs(top: argparse.ArgumentParser) -> Any:
    return next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))


def _values(dest: str, top: argparse.ArgumentParser, before: list[str], open_names: OpenNames, contexts: Callable[[], list[str]]) -> list[str]:
    """Values of a flag."""
    if dest == "context":
        return contexts()
    if dest == "namespace":
        with contextlib.suppress(ExternalError, OSError):
            return open_names(_typed(top, before))[0].namespaces()
    return list(_names(dest, top, before, open_names))


def _names(kind: str, top: argparse.ArgumentParser, before: list[str], open_names: OpenNames) -> Iterator[str]:
    """Names of objects of a kind, as far as the API server tells them."""
    if kind not in ("cluster", "service", "machine", "target"):
        return
    with contextlib.suppress(ExternalError, OSError):
        names, namespace = open_names(_typed(top, before))
        if kind in ("cluster", "target", "machine"):
            clusters = names.list("swarmclusters", namespace)
            if kind == "machine":
                yield from (f"{node['name']}\t{node['phase']}" for item in clusters for node in (item.get("status") or {}).get("nodes") or [])
            else:
                yield from (item["metadata"]["name"] for item in clusters)
        if kind in ("service", "target"):
            prefix = "service/" if kind == "target" else ""
            yield from (prefix + item["metadata"]["name"] for item in names.list("swarmservices", namespace))
        if kind == "target":
            yield from (f"stack/{item['metadata']['name']}" for item in names.list("swarmstacks", namespace))


def _typed(top: argparse.ArgumentParser, before: list[str]) -> argparse.Namespace:
    """The flags that say which API server and namespace, of a line that is not finished."""
    wanted = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for options in (("--namespace", "-n"), ("--kubeconfig",), ("--context",)):
        wanted.add_argument(*options)
    with contextlib.suppress(argparse.ArgumentError, SystemExit), contextlib.redirect_stderr(io.StringIO()):
        return wanted.parse_known_args(before)[0]
    return argparse.Namespace(namespace=None, kubeconfig=None, context=None)


if __name__ == "__main__":
    sys.exit(main())
