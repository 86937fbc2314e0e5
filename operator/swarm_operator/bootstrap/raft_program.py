"""The program that `bootstrap.raft_backup` runs on managers: Python of 3.7 and later, as guests have it."""

from __future__ import annotations

from typing import Final

# The scratch engine can't run anything twice, even before it is drained: its data root has no images, its network namespace no way out to pull one, its containerd is its own
# (/run is empty in its mount namespace), and with its PID namespace all of it ends. It never sees the other managers either, so that raft stays as it is.
SCRIPT: Final = r'''
import fcntl, hashlib, http.client, json, os, shutil, signal, socket, subprocess, sys, tarfile, time, urllib.parse

WORK = "/var/lib/swarmops/backup"
ENGINE = "/var/run/docker.sock"
PIDFILE = "/var/run/docker.pid"
DONE = "swarmops-restored"
KINDS = {
    "nodes": "/nodes",
    "services": "/services",
    "secrets": "/secrets",
    "configs": "/configs",
    "networks": "/networks?filters=" + urllib.parse.quote('{"scope":["swarm"]}'),
}
ENV = dict(os.environ, LC_ALL="C", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
SCRATCH = """
mount -t tmpfs none /run && ip link set lo up && ip addr add "$2" dev lo && ip route add default dev lo &&
exec dockerd --config-file "$1/daemon.json" --data-root "$1/data" --exec-root /run/docker --pidfile /run/docker.pid -H "unix://$1/docker.sock" \
  --bridge=none --iptables=false --ip-forward=false --storage-driver=vfs --log-level=error
"""


class Failed(Exception):
    pass


class Local(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(engine, method, url, body=None, timeout=60):
    connection = Local(engine, timeout)
    try:
        connection.request(method, url, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        status = response.status
    except (OSError, http.client.HTTPException) as error:
        raise Failed("the engine does not answer %s %s: %s" % (method, url.partition("?")[0], type(error).__name__))
    finally:
        connection.close()
    try:
        found = json.loads(text) if text.strip() else None
    except ValueError:
        found = None
    if status >= 400:
        said = found.get("message") if isinstance(found, dict) else ""
        raise Failed("%s %s: %s (%d)" % (method, url.partition("?")[0], said, status))
    return found


def until(seconds, look):
    """What look() returns, once it does not raise Failed."""
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except Failed:
            if time.monotonic() > end:
                raise
        time.sleep(0.3)


def idents(engine):
    return {kind: sorted(entry.get("ID") or entry.get("Id") for entry in ask(engine, "GET", url) or []) for kind, url in KINDS.items()}


def dockerd():
    shown = subprocess.run(["systemctl", "show", "--property=MainPID", "--value", "docker.service"], capture_output=True, text=True, env=ENV)
    for text in (open(PIDFILE).read() if os.path.exists(PIDFILE) else "", shown.stdout):
        pid = text.strip()
        if pid.isdigit() and int(pid) > 1 and os.path.exists("/proc/%s/comm" % pid) and open("/proc/%s/comm" % pid).read().startswith("dockerd"):
            return int(pid)
    raise Failed("the process of the engine was not found")


def guard(pid, seconds):
    """A process that thaws the engine whatever becomes of this one; its id."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.closerange(0, 256)
    for name in ("SIGHUP", "SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    os._exit(0)


def stopped(pid):
    states = []
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            states.append(open("/proc/%d/task/%s/stat" % (pid, task)).read().rpartition(")")[2].split()[0])
        except OSError:
            continue
    return all(state in ("T", "t", "Z", "X") for state in states)


def files(top):
    for folder, names, found in os.walk(top):
        inside = os.path.relpath(folder, top)
        if inside == ".":
            names[:] = [n for n in names if n != "worker"]  # tasks of this node: the managers know them
        for name in found:
            if not name.endswith(".tmp"):
                yield os.path.normpath(os.path.join(inside, name))


def copy_file(source, target):
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    with open(source, "rb") as old, open(target, "wb") as new:
        os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o777)
        while True:
            piece = old.read(1 << 20)
            if not piece:
                break
            if piece.count(0) == len(piece):  # logs are preallocated
                new.seek(len(piece), 1)
            else:
                new.write(piece)
        new.truncate(old.tell())


def copy(source, target, limit):
    """Copy the state while the engine stands still; for how many seconds it did."""
    if not os.path.isdir(source + "/raft"):
        raise Failed("there is no raft state in " + source)
    pid = dockerd()
    for name in files(source):  # into the page cache first
        with open(os.path.join(source, name), "rb") as warm:
            while warm.read(1 << 20):
                pass
    thaw = guard(pid, limit)
    begun = time.monotonic()
    try:
        os.kill(pid, signal.SIGSTOP)
        while not stopped(pid):
            if time.monotonic() - begun > limit / 2:
                raise Failed("the engine did not stand still")
            time.sleep(0.01)
        for name in files(source):
            copy_file(os.path.join(source, name), os.path.join(target, name))
    finally:
        os.kill(pid, signal.SIGCONT)
        took = time.monotonic() - begun
        os.kill(thaw, signal.SIGKILL)
        os.waitpid(thaw, 0)
    if took > limit * 0.9:
        raise Failed("the copy took longer than the %d s for which the engine may stand still" % limit)
    return took


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as data:
        while True:
            piece = data.read(1 << 20)
            if not piece:
                return found.hexdigest()
            found.update(piece)


def unpack(archive, target):
    os.makedirs(target, mode=0o700, exist_ok=True)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar.getmembers():
            if not (member.isfile() or member.isdir()) or not (member.name + "/").startswith("swarm/") or ".." in member.name.split("/"):
                raise Failed("the archive holds " + member.name)
        tar.extractall(target)


def state(engine):
    return ask(engine, "GET", "/info")["Swarm"]


def unlock(engine, keys):
    for key in keys:
        try:
            ask(engine, "POST", "/swarm/unlock", {"UnlockKey": key})
            return
        except Failed as error:
            if "not locked" in str(error):
                return
            if "invalid key" not in str(error):
                raise
    raise Failed("none of the %d unlock keys opens it" % len(keys))


def lead(engine, init, keys):
    """Make the engine the leader of what its raft state holds; whether that was locked."""
    if state(engine)["LocalNodeState"] == "locked":
        # moby#36852: a locked swarm can't be made anew. One of a single manager needs no more than its key and its address.
        unlock(engine, keys)
        try:
            until(40, lambda: ask(engine, "GET", "/nodes"))
        except Failed:
            raise Failed("it is locked and of several managers: no engine can make such a swarm anew (moby#36852)")
        return True
    until(60, lambda: ask(engine, "POST", "/swarm/init", init, timeout=90))
    until(40, lambda: ask(engine, "GET", "/nodes"))
    return False


def drain(engine):
    me = state(engine)["NodeID"]
    node = ask(engine, "GET", "/nodes/" + me)
    spec = dict(node["Spec"], Availability="drain")
    ask(engine, "POST", "/nodes/%s/update?version=%d" % (me, node["Version"]["Index"]), spec)


def verify(archive, folder, keys):
    """Start an engine from the archive, where it reaches nothing; what it holds."""
    root = folder + "/scratch"
    shutil.rmtree(root, ignore_errors=True)
    unpack(archive, root + "/data")
    with open(root + "/daemon.json", "w") as config:
        config.write("{}")
    with open(root + "/data/swarm/docker-state.json") as known:
        found = json.load(known)
    # Its own address, so that a locked one can lead by itself, and a way to the others' that ends at once: one that joined looks for its address by that.
    address = found.get("LocalAddr") or found.get("AdvertiseAddr", "").rpartition(":")[0] or "192.0.2.1"
    engine = root + "/docker.sock"
    with open(folder + "/scratch.log", "wb") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c", SCRATCH, "sh", root, address],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENV, start_new_session=True,
        )
    try:
        def up():
            if process.poll() is not None:
                last = open(folder + "/scratch.log", errors="replace").read().strip().splitlines()[-1:]
                raise SystemExit(fail("the scratch engine ended: " + "".join(last)[:300]))
            return ask(engine, "GET", "/info", timeout=10)

        until(90, up)
        lead(engine, {"ForceNewCluster": True, "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address}, keys)
        until(20, lambda: drain(engine))
        found = idents(engine)
        if ask(engine, "GET", "/containers/json?all=1"):
            raise Failed("the scratch engine has containers")
        return found
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def compare(before, after, found):
    for kind in KINDS:
        old, new, there = set(before[kind]), set(after[kind]), set(found[kind])
        if (old & new) - there or there - (old | new):
            raise Failed("the copy holds %d %s, the swarm %d" % (len(there), kind, len(new)))


def locked():
    handle = open(WORK + "/lock", "w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def fresh(name):
    folder = WORK + "/" + name
    for other in os.listdir(WORK):
        if other not in ("lock", name):
            shutil.rmtree(WORK + "/" + other, ignore_errors=True)
    return folder


def take(order):
    folder = fresh(order["name"])
    result = folder + "/result.json"
    if os.path.exists(result):
        return json.load(open(result))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    info = ask(ENGINE, "GET", "/info")
    before = idents(ENGINE)
    took = copy(order["data_root"] + "/swarm", folder + "/swarm", order["freeze_seconds"])
    after = until(30, lambda: idents(ENGINE))
    archive = folder + "/archive.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        tar.add(folder + "/swarm", "swarm")
    key = open(folder + "/swarm/certificates/swarm-node.key", errors="replace").read()
    shutil.rmtree(folder + "/swarm")
    if order["verify"]:
        compare(before, after, verify(archive, folder, order["unlock_keys"]))
    answer = {
        "archive": archive,
        "sha256": digest(archive),
        "size": os.path.getsize(archive),
        "engine": info["ServerVersion"],
        "swarm_id": info["Swarm"]["Cluster"]["ID"],
        "locked": "ENCRYPTED" in key,
        "verified": bool(order["verify"]),
        "frozen_ms": int(took * 1000),
        "counts": {kind: len(found) for kind, found in after.items()},
    }
    with open(result + ".new", "w") as out:
        json.dump(answer, out)
    os.replace(result + ".new", result)
    return answer


def systemctl(*words):
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, env=ENV, timeout=180)
    if done.returncode != 0:
        raise Failed("systemctl %s: %s" % (" ".join(words), done.stderr.strip()[:300]))


def restore(order):
    folder = fresh("restore")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    archive, mark = folder + "/archive.tgz", order["data_root"] + "/" + DONE
    with open(archive, "wb") as out:
        shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
    if digest(archive) != order["sha256"]:
        raise Failed("the archive is not what was backed up: its checksum is another")
    if not (os.path.exists(mark) and open(mark).read() == order["name"]):
        unpack(archive, folder + "/new")
        systemctl("stop", "docker.socket", "docker.service")
        try:
            shutil.rmtree(order["data_root"] + "/swarm", ignore_errors=True)
            shutil.move(folder + "/new/swarm", order["data_root"] + "/swarm")
        finally:
            systemctl("start", "docker.service")
        until(120, lambda: state(ENGINE))
        lead(ENGINE, order["init"], order["unlock_keys"])
        with open(mark, "w") as out:
            out.write(order["name"])
    counts = until(40, lambda: {kind: len(found) for kind, found in idents(ENGINE).items()})
    shutil.rmtree(folder, ignore_errors=True)
    return {"counts": counts}


def fail(text):
    print(json.dumps({"failed": text}))
    return 0


def main():
    os.umask(0o077)
    os.makedirs(WORK, mode=0o700, exist_ok=True)
    what = sys.argv[1]
    order = json.loads(sys.stdin.buffer.readline() or b"{}")
    held = locked()
    try:
        if what == "wipe":
            fresh("")
            answer = {"wiped": True}
        else:
            answer = {"take": take, "restore": restore}[what](order)
        print(json.dumps(answer))
    except Failed as error:
        return fail(str(error))
    except (OSError, ValueError, KeyError, tarfile.TarError, subprocess.SubprocessError) as error:
        return fail("%s: %s" % (type(error).__name__, error))
    finally:
        held.close()
    return 0


sys.exit(main())
'''
