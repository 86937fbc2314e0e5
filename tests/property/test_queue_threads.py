"""The queue under real threads: never a key twice at once, never a group over its limit, nothing lost."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

from swarm_operator.engine.backoff import Backoff
from swarm_operator.engine.clock import SystemClock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.workers import WorkerPool


def test_many_producers_and_workers() -> None:
    limit = 3
    queue: WorkQueue[str] = WorkQueue(SystemClock(), group=lambda key: key[0], group_limit=limit, backoff=Backoff(floor=0.001, cap=0.01))
    lock = threading.Lock()
    running: Counter[str] = Counter()
    faults: list[str] = []
    added: Counter[str] = Counter()
    seen: dict[str, int] = {}
    dice = random.Random(7)

    def reconcile(key: str) -> Outcome:
        with lock:
            running[key] += 1
            seen[key] = added[key]
            if running[key] > 1:
                faults.append(f"{key} twice at once")
            if sum(count for other, count in running.items() if other[0] == key[0]) > limit:
                faults.append(f"group of {key} over its limit")
            choice = dice.random()
        time.sleep(0.0005)
        with lock:
            running[key] -= 1
        if choice < 0.1:
            raise RuntimeError("now and then")
        return Retry("x") if choice < 0.2 else After(0.001) if choice < 0.3 else Done()

    def produce(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(400):
            key = f"{own.choice('abcd')}{own.randrange(6)}"
            with lock:
                added[key] += 1
            if own.random() < 0.3:
                queue.add_after(key, own.random() / 200)
            else:
                queue.add(key, urgent=own.random() < 0.5)

    pool = WorkerPool(queue, reconcile, 8)
    pool.start()
    producers = [threading.Thread(target=produce, args=(seed,)) for seed in range(4)]
    for thread in producers:
        thread.start()
    for thread in producers:
        thread.join(60)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        figures = queue.figures()
        if not figures.depth and not figures.delayed and not figures.in_flight:
            break
        time.sleep(0.01)
    assert pool.alive() == 8
    assert pool.stop(10)
    assert faults == []
    assert seen == dict(added), "a key was not reconciled after its last add"
