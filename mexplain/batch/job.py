"""Where tasks run, and the record of a task whose worker died."""

from dataclasses import dataclass

from mexplain.errors import SettingError


@dataclass(frozen=True)
class Lost:
    """A task whose worker died each time it was tried."""

    reason: str


@dataclass(frozen=True)
class Cluster:
    """The workers of an engine; ``workers`` None means as many as the cluster has room for.

    ``address`` is that of a running cluster (None: one is started). ``gpu_share`` is what each worker takes
    of a GPU, 0..1: with 0.25, four share one.
    """

    address: str | None = None
    workers: int | None = None
    gpu_share: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SettingError(f"The number of workers must be at least 1; got {self.workers}.")
        if not 0 <= self.gpu_share <= 1:
            raise SettingError(f"A worker's share of a GPU must lie in 0..1; got {self.gpu_share}.")
