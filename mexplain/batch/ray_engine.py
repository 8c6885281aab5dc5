"""Tasks done by the actors of a Ray cluster; a worker that dies is replaced and its task tried again."""

import logging
import os
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RaySystemError

from mexplain.batch.job import Cluster, Lost
from mexplain.errors import MexplainError, SettingError

T = TypeVar("T")
R = TypeVar("R")

TRIES = 3
# Results are a few kB each; by default Ray would take a third of the memory for them.
_STORE_BYTES = 128 * 1024**2


class _Worker:
    """An actor that holds the function; a failure to build it is the answer to every task."""

    def __init__(self, build: Callable[[], Callable[[Any], Any]]) -> None:
        self.error = ""
        try:
            self.function = build()
        except MexplainError as error:
            self.error = str(error)

    def run(self, task: Any) -> tuple[str, Any]:
        return (self.error, None) if self.error else ("", self.function(task))


def map_on_cluster(
    build: Callable[[], Callable[[T], R]], tasks: Iterable[T], cluster: Cluster
) -> Generator[tuple[T, R | Lost]]:
    """Map a function over tasks on the actors of a cluster, each of which has one task at a time.

    So the memory of this process stays flat, and a clip that kills its worker loses no other clip. Yields each task
    with its result as it is ready. Raises ``SettingError`` if the cluster cannot be reached, or the function cannot be
    built there.
    """
    connected = ray.is_initialized()
    if not connected:
        _connect(cluster)
    workers: list[Any] = []
    try:
        actor = ray.remote(num_cpus=1, num_gpus=cluster.gpu_share, max_restarts=-1, max_task_retries=TRIES - 1)(_Worker)
        workers += [actor.remote(build) for _ in range(cluster.workers or _worker_count(cluster))]
        waiting = iter(tasks)
        busy: dict[Any, tuple[Any, T]] = {}

        def assign_next(worker: Any) -> None:
            for task in waiting:
                busy[worker.run.remote(task)] = worker, task
                return

        for worker in workers:
            assign_next(worker)
        while busy:
            ready, _ = ray.wait(list(busy), num_returns=1)
            worker, task = busy.pop(ready[0])
            result = _result(ready[0])
            assign_next(worker)
            yield task, result
    finally:
        for worker in workers:
            ray.kill(worker)
        if not connected:
            ray.shutdown()


def _result(reference: Any) -> Any:
    try:
        problem, result = ray.get(reference)
    except (ActorDiedError, ActorUnavailableError):
        return Lost(f"Its worker died each of the {TRIES} times it was tried, perhaps for want of memory.")
    except RayError as error:
        raise SettingError(f"A worker failed: {str(error).strip().splitlines()[-1]}") from error
    if problem:
        raise SettingError(f"The workers cannot begin: {problem}")
    return result


def _connect(cluster: Cluster) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    local_cluster: dict[str, Any] = {
        "num_cpus": cluster.workers or os.cpu_count(),
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
    }
    try:
        ray.init(
            address=cluster.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if cluster.address else local_cluster),
        )
    except (ConnectionError, RaySystemError, RuntimeError, ValueError) as error:
        where = cluster.address or "this machine"
        raise SettingError(f"No Ray cluster answers at {where} ({str(error).strip().splitlines()[0]}).") from error


def _worker_count(cluster: Cluster) -> int:
    """Number of workers that fit into the cluster as it is."""
    resources = ray.cluster_resources()
    count = resources.get("GPU", 0) / cluster.gpu_share if cluster.gpu_share else resources.get("CPU", 0)
    if count < 1:
        raise SettingError(f"The cluster has no room for a worker; it offers {resources}.")
    return int(count)
