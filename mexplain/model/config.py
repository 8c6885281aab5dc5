"""The sizes of the network, and the presets that are trained."""

from dataclasses import dataclass

from mexplain.errors import SettingError
from mexplain.language.message import Message, text

CASME2_LABELS = (text("happiness"), text("disgust"), text("surprise"), text("repression"), text("others"))
# The action units (FACS) that the heads predict, each on the subject's right and left.
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 24, 25, 26, 45)
# Speech moves the jaw (26) and blinks the lids (45), without an expression.
NUISANCE_UNITS = (26, 45)


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of the network.

    ``trunk`` and ``global_convs`` name layers in order: ``"64"`` is a 3x3 convolution to 64 channels with batch norm
    and ReLU, ``"64/2"`` the same with stride 2, ``"pool"`` a 2x2 maximum. ``crop_iod`` is the side of the frames in
    inter-ocular distances, ``block_grid`` the side of a block's crop in cells, ``uncropped_grid`` that of the whole
    face. ``units`` are the action units that the heads predict. Raises ``SettingError`` for fewer than 2 labels or
    frames.
    """

    preset: str
    labels: tuple[str, ...]
    frames: int
    image_size: int
    crop_iod: float
    trunk: tuple[str, ...]
    global_convs: tuple[str, ...]
    global_pool: int
    global_features: int
    block_grid: int
    block_padding: int
    block_channels: int
    block_features: int
    uncropped_grid: int
    uncropped_pool: int
    gate_channels: int
    gate_features: int
    fused_features: int
    lstm_features: int
    onset_difference: bool = True
    units: tuple[int, ...] = UNITS
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        # Those that are known have translations.
        object.__setattr__(self, "labels", tuple(map(Message, self.labels)))
        if len(self.labels) < 2 or self.frames < 2:
            raise SettingError(f"a model needs 2 labels and 2 frames at least, got {self.labels} and {self.frames}")


PRESETS: dict[str, ModelConfig] = {
    "lite": ModelConfig(
        preset="lite",
        labels=CASME2_LABELS,
        frames=12,
        image_size=112,
        crop_iod=2.8,
        trunk=("24/2", "48/2", "64", "64"),
        global_convs=("64/2", "64/2"),
        global_pool=7,
        global_features=128,
        block_grid=7,
        block_padding=0,
        block_channels=48,
        block_features=64,
        uncropped_grid=14,
        uncropped_pool=5,
        gate_channels=48,
        gate_features=32,
        fused_features=256,
        lstm_features=96,
    ),
    "paper": ModelConfig(
        preset="paper",
        labels=CASME2_LABELS,
        frames=16,
        image_size=224,
        crop_iod=256 / 77,
        trunk=("64", "64", "pool", "128", "128", "pool", "256", "256", "256", "pool", "512", "512"),
        global_convs=("pool", "512", "512"),
        global_pool=14,
        global_features=512,
        block_grid=6,
        block_padding=1,
        block_channels=512,
        block_features=64,
        uncropped_grid=28,
        uncropped_pool=6,
        gate_channels=128,
        gate_features=64,
        fused_features=1024,
        lstm_features=256,
    ),
}
