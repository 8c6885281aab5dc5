"""Leave-one-subject-out cross-validation: folds trained, tested and saved, one file each."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Float
from pydantic import PlainValidator

from mexplain.batch.engines import Engine, local
from mexplain.batch.job import Cluster, Lost
from mexplain.errors import SettingError
from mexplain.evaluation.loso.crop_cache import FaceCrops
from mexplain.evaluation.loso.fine_tuning import ClipBank, classify_clips, make_bank, train_fold
from mexplain.evaluation.loso.protocol import ClassificationTask, check_leak, zero_shot_map
from mexplain.evaluation.loso.request import FineTuning
from mexplain.media.files import write_json_file
from mexplain.media.json_records import Record, read_json_record
from mexplain.media.progress import Progress
from mexplain.model.checkpoint import Checkpoint

SETTINGS, FOLDS = "settings.json", "folds"


@dataclass(frozen=True)
class CrossValidation:
    """Settings of a run; ``plan`` None means zero-shot: the untrained network's labels are mapped to the classes."""

    task: ClassificationTask
    checkpoint: Checkpoint
    plan: FineTuning | None
    seeds: int
    out: Path

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise SettingError(f"The number of seeds must be at least 1; got {self.seeds}.")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that all folds of a run share; seeds may be added later."""
        return run_settings(self.task.protocol, self.checkpoint, self.plan)


def run_settings(protocol: str, checkpoint: Checkpoint, plan: FineTuning | None) -> dict[str, Any]:
    """The settings of a run that are known before any data is read."""
    return {
        "protocol": protocol,
        "checkpoint_sha256": checkpoint.sha256,
        "training": "zero-shot" if plan is None else asdict(plan),
    }


def _array(rows: list[list[float]]) -> Float[np.ndarray, "n k"]:
    return np.array(rows, np.float32)


@dataclass(frozen=True)
class Fold:
    """Predictions for one left-out subject: class probabilities by variant, a row for each clip."""

    seed: int
    dataset: str
    subject: str
    clips: tuple[str, ...]
    truth: tuple[int, ...]
    probabilities: Mapping[str, Annotated[Float[np.ndarray, "n k"], PlainValidator(_array)]]


def check_resumable(out: Path, settings: Mapping[str, Any]) -> None:
    """Check that a folder is new or holds a run with these settings.

    Raises ``SettingError``, naming the first that differs.
    """
    path = out / SETTINGS
    kept = _read(path, dict) if path.is_file() else {}
    for name, value in settings.items():
        if name in kept and kept[name] != value:
            raise SettingError(
                f"{out} holds a run with other settings: {name} was {json.dumps(kept[name])}, "
                f"now it is {json.dumps(value)}; give another folder to --out."
            )


def run_folds(
    experiment: CrossValidation, crops: Sequence[FaceCrops], spread: Engine = local, cluster: Cluster | None = None
) -> list[Fold]:
    """Return all folds of all seeds, reading finished ones and training the rest, here or on a cluster.

    Writes ``settings.json`` and, as each fold ends, ``folds/NAME.json``: a stopped run is
    resumed with the folds that are missing. Raises ``SettingError`` if the folder holds another run,
    ``DatasetError`` if a frame of a left-out subject is also to be trained on.
    """
    task, digests = experiment.task, [crop.digests for crop in crops]
    data = {"classes": list(task.classes), "sha256_of_clips_labels_and_frames": _data_sha256(task, digests)}
    settings = experiment.settings | data
    check_resumable(experiment.out, settings)
    if experiment.plan is not None:
        # Before any fold is trained: a leak in the last one would cost a night.
        for person in task.people:
            check_leak(task.samples, digests, *task.split(person))
    write_json_file(experiment.out / SETTINGS, settings)
    seeds = 1 if experiment.plan is None else experiment.seeds
    wanted = list(product(range(seeds), task.people))
    paths = {fold: _path(experiment.out, *fold) for fold in wanted}
    missing = [fold for fold, path in paths.items() if not path.is_file()]
    with Progress("folds", len(wanted), done=len(wanted) - len(missing)) as progress:
        # Only if a fold is missing: the trunk's features take a while.
        work = spread(partial(_fold_runner, experiment, crops), missing, cluster or Cluster()) if missing else None
        with closing(work) if work else nullcontext(()) as results:
            for fold, record in results:
                if isinstance(record, Lost):
                    raise SettingError(f"Fold {fold[0]} of {'/'.join(fold[1])}: {record.reason} Start again to go on.")
                write_json_file(paths[fold], record)
                progress.advance()
    return [_read(path, Fold) for path in paths.values()]


def _fold_runner(
    experiment: CrossValidation, crops: Sequence[FaceCrops]
) -> Callable[[tuple[int, tuple[str, str]]], dict[str, Any]]:
    """Return the function that trains and tests one fold, given seed and left-out person."""
    bank = _clip_bank(experiment, crops)
    return lambda fold: _run_fold(experiment, bank, *fold)


def _clip_bank(experiment: CrossValidation, crops: Sequence[FaceCrops]) -> ClipBank:
    plan = experiment.plan
    return make_bank(experiment.checkpoint.model, crops, encoded=plan is None or plan.part == "heads")


def _run_fold(experiment: CrossValidation, bank: ClipBank, seed: int, person: tuple[str, str]) -> dict[str, Any]:
    task, model = experiment.task, experiment.checkpoint.model
    train, held_out = task.split(person)
    if experiment.plan is None:
        probabilities = _map_to_classes(classify_clips(model, bank, held_out), task, model.config.labels)
    else:
        fold = "/".join(person)
        trained = train_fold(model, bank, task.truth, train, task.classes, experiment.plan, seed=seed, fold=fold)
        probabilities = classify_clips(trained, bank, held_out)
    return {
        "seed": seed,
        "dataset": person[0],
        "subject": person[1],
        "clips": [task.samples[i].key for i in held_out],
        "truth": [task.truth[i] for i in held_out],
        "probabilities": {variant: table.round(6).tolist() for variant, table in probabilities.items()},
    }


def _map_to_classes(
    probabilities: Mapping[str, Float[np.ndarray, "n l"]], task: ClassificationTask, labels: Sequence[str]
) -> dict[str, Float[np.ndarray, "n k"]]:
    """Sum the probabilities of each class's labels and normalise; labels of no class are left out."""
    pairs = zero_shot_map(task.protocol, task.classes, labels)
    matrix = np.array([[pairs.get(label) == name for name in task.classes] for label in labels], np.float32)
    sums = {variant: table @ matrix for variant, table in probabilities.items()}
    return {variant: table / table.sum(1, keepdims=True).clip(1e-12) for variant, table in sums.items()}


def _path(out: Path, seed: int, person: tuple[str, str]) -> Path:
    # With a hash, for some file systems take S1 and s1 for one name.
    short = hashlib.sha256("/".join(person).encode()).hexdigest()[:6]
    return out / FOLDS / f"seed{seed}-{person[0]}-{quote(person[1], safe='')[:60]}-{short}.json"


def _data_sha256(task: ClassificationTask, digests: Sequence[Sequence[str]]) -> str:
    rows = ([s.key, truth, *own] for s, truth, own in zip(task.samples, task.truth, digests, strict=True))
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def _read(path: Path, record: type[Record]) -> Record:
    try:
        return read_json_record(path, record, SettingError)
    except SettingError as error:
        raise SettingError(f"{error} Remove it to have it made anew.") from error
