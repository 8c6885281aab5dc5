"""What spreads work: each engine maps one function over tasks. A new one is one function and one line here."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from mexplain.batch.job import Cluster, Lost
from mexplain.errors import SettingError

T = TypeVar("T")
R = TypeVar("R")


def local(build: Callable[[], Callable[[T], R]], tasks: Iterable[T], cluster: Cluster) -> Generator[tuple[T, R | Lost]]:
    """Work through the tasks one after the other, in this process."""
    if cluster != Cluster():
        raise SettingError("--address, --workers and --gpu-share are for the engine ray; this one is one process.")
    function = build()
    for task in tasks:
        yield task, function(task)


def on_ray(
    build: Callable[[], Callable[[T], R]], tasks: Iterable[T], cluster: Cluster
) -> Generator[tuple[T, R | Lost]]:
    """Spread the tasks over the actors of a Ray cluster, or of one started here."""
    try:
        from mexplain.batch.ray_engine import map_on_cluster
    except ImportError as error:
        raise SettingError(f"The engine ray needs Ray: pip install -r requirements-archive.txt ({error}).") from error
    return map_on_cluster(build, tasks, cluster)


# ``build`` is called once in each worker and returns the function, which may hold a network; both must be picklable.
# Tasks are drawn as workers get free, so there may be any number of them; results come as they are ready.
Engine = Callable[[Callable[[], Callable[[Any], Any]], Iterable[Any], Cluster], Generator[tuple[Any, Any]]]
ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}


def engine(name: str) -> Engine:
    """Return the engine of a name; raises ``SettingError`` if there is none."""
    if name not in ENGINES:
        raise SettingError(f"Engine must be one of {', '.join(ENGINES)}; got {name!r}.")
    return ENGINES[name]
