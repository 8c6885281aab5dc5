"""Engines, which map one function over tasks; a new one is one function and one line in ``ENGINES``."""

from collections.abc import Callable, Generator, Iterable
from importlib.util import find_spec
from typing import Any, TypeVar

from mexplain.batch.job import Cluster, Lost
from mexplain.errors import SettingError

T = TypeVar("T")
R = TypeVar("R")


def local(build: Callable[[], Callable[[T], R]], tasks: Iterable[T], cluster: Cluster) -> Generator[tuple[T, R | Lost]]:
    """Do the tasks one after the other, in this process."""
    function = build()
    for task in tasks:
        yield task, function(task)


def on_ray(
    build: Callable[[], Callable[[T], R]], tasks: Iterable[T], cluster: Cluster
) -> Generator[tuple[T, R | Lost]]:
    """Do the tasks on the actors of a Ray cluster, or of one that is started on this machine."""
    from mexplain.batch.ray_engine import map_on_cluster

    return map_on_cluster(build, tasks, cluster)


# ``build`` is called once in each worker and returns the function, which may hold a network; both must be picklable.
# A task is drawn when a worker is free, so there may be any number of them; results come in the order of completion.
Engine = Callable[[Callable[[], Callable[[Any], Any]], Iterable[Any], Cluster], Generator[tuple[Any, Any]]]
ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}


def engine(name: str, cluster: Cluster) -> Engine:
    """The engine of a name, checked without starting anything.

    Raises ``SettingError`` for an unknown name, for a cluster where the engine has none, or if Ray is not installed.
    """
    if name not in ENGINES:
        raise SettingError(f"Engine must be one of {', '.join(ENGINES)}; got {name!r}.")
    if name == "local" and cluster != Cluster():
        raise SettingError("--address, --workers and --gpu-share are for the engine ray; this one is one process.")
    if name == "ray" and find_spec("ray") is None:
        raise SettingError("The engine ray needs Ray: pip install -r requirements-archive.txt.")
    return ENGINES[name]
