"""One clip as a network of one's own takes it, what it answers, and the target of its attribution."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.recogniser_target import RecogniserTarget, build_recogniser_target
from mexplain.explain.decision import VariantPrediction
from mexplain.explain.prediction import DISPLAY_SIZE, Progress, StageTimer, input_tensor
from mexplain.face.extraction import read_aligned
from mexplain.media.sandbox import client
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.records import AlignedClip, ClipInfo, ExplainRequest


@dataclass(frozen=True)
class OwnPrediction:
    """A clip as a recogniser takes it; fields are those of ``mexplain.explain.prediction.Prediction``."""

    recogniser: CheckedRecogniser
    info: ClipInfo
    window_s: tuple[float, float]
    aligned: AlignedClip
    display: AlignedClip
    elapsed_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The recogniser's classes."""
        return self.recogniser.labels

    @property
    def crop_iod(self) -> float:
        """Width of the frames in inter-ocular distances."""
        return self.recogniser.spec.crop_iod

    @property
    def spotting(self) -> None:
        """No moment is searched for."""
        return None


class OwnExplainer:
    """A clip's ``prediction`` by a network of one's own, and its target; kept until another is asked for."""

    def __init__(self, prediction: OwnPrediction) -> None:
        self.prediction = prediction
        self._target = lru_cache(maxsize=1)(self._build_target)

    @classmethod
    def from_clip(
        cls,
        path: str | Path,
        recogniser: CheckedRecogniser,
        request: ExplainRequest = ExplainRequest(),
        *,
        progress: Progress | None = None,
    ) -> "OwnExplainer":
        """Read a clip, or the part that a request chooses; raises ``ClipError`` or ``FaceError``."""
        timer, path = StageTimer(progress), Path(path)
        info, window_s, (aligned, display) = client.call(
            read_aligned,
            path,
            request.start_s,
            request.end_s,
            frames=recogniser.spec.frames,
            sizes=(recogniser.spec.working_size, DISPLAY_SIZE),
            crop_iod=recogniser.spec.crop_iod,
            fps=request.fps,
            name=path.name,
            tell=lambda stage: timer.enter(stage, {"decode": 0.0, "landmarks": 0.12}.get(stage, 0.2)),
        )
        timer.leave()
        return cls(OwnPrediction(recogniser, info, window_s, aligned, display, timer.elapsed_s))

    def target(self, request: ExplainRequest = ExplainRequest()) -> RecogniserTarget:
        """The target for the request's baseline and label; raises ``RecogniserError`` where the recogniser fails."""
        return self._target(request.baseline, request.target)

    def targets(self, request: ExplainRequest = ExplainRequest()) -> dict[str, RecogniserTarget]:
        """The same under the name of its blocks."""
        return {self.prediction.recogniser.blocks: self.target(request)}

    def forget_targets(self) -> None:
        """Free the memory of the target."""
        self._target.cache_clear()

    def _build_target(self, baseline: str, label: str | None) -> RecogniserTarget:
        recogniser, aligned = self.prediction.recogniser, self.prediction.aligned
        return build_recogniser_target(
            recogniser,
            input_tensor(aligned, torch.device("cpu")),
            aligned.landmarks_xy,
            baseline=baseline,
            class_index=None if label is None else recogniser.labels.index(label),
        )


def own_answer(recogniser: CheckedRecogniser, logits: Float[Tensor, "k"]) -> VariantPrediction:
    """What a recogniser's logits say: the likeliest class, and the softmax; it says nothing of presence."""
    probabilities = dict(zip(recogniser.labels, logits.softmax(0).tolist(), strict=True))
    return VariantPrediction(recogniser.blocks, recogniser.labels[int(logits.argmax())], probabilities, presence=1.0)
