"""What a leave-one-subject-out run is to do, checked before any data is read; loads no heavy library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mexplain.batch.engines import engine
from mexplain.batch.job import Cluster
from mexplain.errors import DatasetError, SettingError
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.loso.protocol import check_protocol, default_protocol

PARTS = ("heads", "all")


@dataclass(frozen=True)
class FineTuning:
    """How a fold is trained: ``heads`` alone with the trunk as it was, or ``all`` of the network.

    Nothing here is chosen by looking at the left-out subject: the number of epochs is fixed, and what the last one
    leaves is tested.
    """

    part: str = "heads"
    epochs: int = 30
    batch: int = 16
    rate: float = 5e-4
    weight_decay: float = 0.02
    label_smoothing: float = 0.05

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise SettingError(f"What is trained must be one of {', '.join(PARTS)}; got {self.part!r}.")
        if self.epochs < 1:
            raise SettingError(f"The number of epochs must be at least 1; got {self.epochs}.")


@dataclass(frozen=True)
class LosoRequest:
    """Data sets, and how each subject is left out.

    ``sources`` maps names of ``DATASETS`` to folders; ``classes`` names a protocol, by default the one that suits the
    data sets; ``init`` is the checkpoint that each fold starts from, by default the one shipped. ``fine_tuning`` None
    means the network as it is, its answers mapped to the classes (zero-shot). ``out`` is for folds, cached faces and
    results. Raises ``SettingError`` or ``DatasetError`` for what cannot be.
    """

    sources: Mapping[str, Path]
    out: Path
    classes: str | None = None
    init: str | None = None
    fine_tuning: FineTuning | None = FineTuning()
    seeds: int = 3
    device: str = "auto"
    engine_name: str = "local"
    cluster: Cluster = field(default_factory=Cluster)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise SettingError(f"The number of seeds must be at least 1; got {self.seeds}.")
        engine(self.engine_name, self.cluster)
        if unknown := [name for name in self.sources if name not in DATASETS]:
            raise SettingError(f"A data set must be one of {', '.join(DATASETS)}; got {unknown[0]!r}.")
        check_protocol(self.protocol, self.sources)
        for name, path in self.sources.items():
            if not path.exists():
                raise DatasetError(f"There is no {'file or folder' if name == 'manifest' else 'folder'} {path}.")

    @property
    def protocol(self) -> str:
        """The name of the protocol that makes classes of what was coded."""
        return self.classes or default_protocol(tuple(self.sources))
