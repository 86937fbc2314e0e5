"""What runs on a guest, as root, when the settings of its engine change. A shell and coreutils, docker's own programs, and systemd.

All of it is one script on the guest: were it a conversation, an operator that dies in the midst would leave an engine down. The former file is kept beside the new one until the
engine has proved to run with that; a script that finds one left over by another that was cut short takes that for the good one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swarm_operator.bootstrap.engine import DAEMON_JSON_PATH

SECONDS: Final = 300.0
"""The engine gives its containers `shutdown-timeout` to end, twice where it goes back, and systemd gives up on a start after 90 s."""
REFUSED: Final = 3
"""Exit status: the engine does not take the settings and goes on with the former ones; its words are on stdout."""
DOWN: Final = 4
"""Exit status: as REFUSED, but the engine does not run with the former ones either."""


def argv(how: str, path: str = DAEMON_JSON_PATH) -> Sequence[str]:
    """The command; `how` is check, reload or restart. The settings go through stdin."""
    return ["sh", "-c", SCRIPT, "swarmops-engine", how, path]


SCRIPT: Final = r"""
set -u
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
how=$1 file=$2 unit=docker.service
new=$file.swarmops-new former=$file.swarmops-former
umask 022
mkdir -p "${file%/*}"
cat >"$new" || exit 1
chmod 0644 "$new"

# dockerd validates since 23.0.
text=$(dockerd --validate --config-file "$new" 2>&1)
status=$?
if [ $status -ne 0 ]; then
    case $status:$text in
    127:* | *"unknown flag"*) ;;
    *)
        rm -f "$new"
        printf '%s\n' "$text" | tail -n 3
        exit 3
        ;;
    esac
fi
if [ "$how" = check ]; then
    rm -f "$new"
    exit 0
fi

since=$(date +%s)

said() { # the last of what the engine itself has logged of an error
    journalctl --no-pager --quiet --output cat --since "@$since" _SYSTEMD_UNIT=$unit 2>/dev/null |
        grep -iE 'error|fail|unable|invalid|cannot|unknown' | grep -v 'level=\(info\|warning\)' | tail -n 1
}

answers() {
    tries=0
    while [ $tries -lt 30 ]; do
        if timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then return 0; fi
        tries=$((tries + 1))
        sleep 1
    done
    return 1
}

restart() {
    systemctl reset-failed $unit docker.socket 2>/dev/null # the limit of starts
    systemctl restart $unit && answers
}

reload() { # SIGHUP has no answer; the engine tells of a reload that succeeded by an event
    systemctl reload $unit 2>/dev/null || systemctl kill --signal=HUP --kill-who=main $unit || return 1
    tries=0
    while [ $tries -lt 20 ]; do
        if [ -n "$(timeout 5 docker events --since "$since" --until "$(date +%s)" --filter type=daemon --filter event=reload 2>/dev/null)" ]; then return 0; fi
        tries=$((tries + 1))
        sleep 0.5
    done
    return 1
}

if [ ! -e "$former" ] && [ -e "$file" ]; then
    cp -p "$file" "$former.part" && mv -f "$former.part" "$former" || exit 1
fi
mv -f "$new" "$file" || exit 1
sync "$file" 2>/dev/null
failed=$($how 2>&1) && { rm -f "$former"; exit 0; }

words=$(said)
[ -e "$former" ] && mv -f "$former" "$file"
printf '%s\n' "${words:-${failed:-no reason is told}}" | tail -n 3
since=$(date +%s)
$how >/dev/null 2>&1 && exit 3
[ "$how" = reload ] && answers && exit 3
exit 4
"""
