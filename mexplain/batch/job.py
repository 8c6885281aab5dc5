"""Where tasks run, and the record of a task whose worker died."""

from dataclasses import dataclass

from mexplain.errors import SettingError


@dataclass(frozen=True)
class Lost:
    """A task whose worker died each time it was tried."""

    reason: str


@dataclass(frozen=True)
class Cluster:
    """Where an engine finds its workers; ``workers`` None means as many as there is room for.

    ``gpu_share`` is how much of a GPU each worker takes, 0 for none: with 0.25, four share one.
    """

    address: str | None = None
    workers: int | None = None
    gpu_share: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SettingError(f"The number of workers must be at least 1; got {self.workers}.")
        if not 0 <= self.gpu_share <= 1:
            raise SettingError(f"A worker's share of a GPU must lie in 0..1; got {self.gpu_share}.")
