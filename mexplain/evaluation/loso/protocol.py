"""Protocols of leave-one-subject-out: classes, folds, and a check for frames in both training and test clips."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mexplain.errors import DatasetError, SettingError
from mexplain.evaluation.datasets.frames import natural
from mexplain.evaluation.datasets.sample import Sample
from mexplain.model.config import CASME2_LABELS

# From emotions to classes, for each data set; what is not listed is left out, and counted.
CASME2_5 = {"casme2": {label: label for label in CASME2_LABELS}}
_NEGATIVE = dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), "negative")
MEGC2019 = {
    "casme2": {"happiness": "positive", "disgust": "negative", "repression": "negative", "surprise": "surprise"},
    "samm": {"happiness": "positive", **_NEGATIVE, "surprise": "surprise"},
    "smic": {"negative": "negative", "positive": "positive", "surprise": "surprise"},
}
# What the network's own classes stand for among those three.
FIVE_TO_THREE = {"happiness": "positive", "disgust": "negative", "repression": "negative", "surprise": "surprise"}

# Davison, Merghani, Yap: J. Imaging 2018, 4(10), 119, table 1; all other combinations are VII.
OBJECTIVE = {
    "I": ((6,), (12,), (6, 12), (6, 7, 12), (7, 12)),
    "II": ((1, 2), (5,), (25,), (1, 2, 25), (25, 26), (5, 24)),
    "III": ((23,), (4,), (4, 7), (4, 5), (4, 5, 7), (17, 24), (4, 6, 7), (4, 38)),
    "IV": ((10,), (9,), (4, 9), (4, 40), (4, 5, 40), (4, 7, 9), (4, 9, 17), (4, 7, 10), (4, 5, 7, 9), (7, 10)),
    "V": ((1,), (15,), (1, 4), (6, 15), (15, 17)),
    "VI": ((1, 2, 4), (20,)),
    "VII": (),
}


@dataclass(frozen=True)
class Protocol:
    """A mapping of coded clips to classes.

    ``class_of`` returns a sample's class, or None to leave it out. ``classes`` are none where they are whatever is
    found; ``datasets`` those it is for, none: any. ``from_model`` maps the network's own labels to classes, for use
    without training (None: those of the same name). ``published`` counts the clips others used.
    """

    says: str
    class_of: Callable[[Sample], str | None]
    classes: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    from_model: Mapping[str, str] | None = None
    published: Mapping[str, int] = field(default_factory=dict)


def _by_label(maps: Mapping[str, Mapping[str, str]]) -> Callable[[Sample], str | None]:
    return lambda sample: maps[sample.dataset].get(sample.label)


def objective_class(sample: Sample) -> str | None:
    """Return the objective class of the action units, whatever their side; None where none were coded."""
    units = tuple(sorted({unit.number for unit in sample.action_units}))
    return next((name for name, sets in OBJECTIVE.items() if units in sets), "VII") if units else None


PROTOCOLS: dict[str, Protocol] = {
    "casme2_5": Protocol(
        "CASME II's five emotions; fear and sadness are too few",
        _by_label(CASME2_5),
        CASME2_LABELS,
        tuple(CASME2_5),
        published={"casme2": 246},
    ),
    "megc2019": Protocol(
        "the three classes of the composite of MEGC 2019",
        _by_label(MEGC2019),
        ("negative", "positive", "surprise"),
        tuple(MEGC2019),
        FIVE_TO_THREE,
        {"casme2": 145, "samm": 133, "smic": 164},
    ),
    "objective": Protocol(
        "objective classes I to VII, a function of the action units (Davison et al. 2018)",
        objective_class,
        tuple(OBJECTIVE),
        ("casme2", "samm", "casme3", "dfme", "manifest"),
        {},
    ),
    "as_coded": Protocol("each emotion found is a class", lambda sample: sample.label),
}


def default_protocol(datasets: Sequence[str]) -> str:
    """Return the protocol used by default for some data sets."""
    if tuple(datasets) == ("casme2",):
        return "casme2_5"
    return "megc2019" if set(datasets) <= set(MEGC2019) else "as_coded"


def check_protocol(name: str, datasets: Iterable[str]) -> None:
    """Raise ``SettingError`` for an unknown protocol, or one that is not for some of these data sets."""
    if name not in PROTOCOLS:
        raise SettingError(f"classes must be one of {', '.join(PROTOCOLS)}; got {name!r}.")
    suited = PROTOCOLS[name].datasets
    if suited and (others := sorted(set(datasets) - set(suited))):
        raise SettingError(f"The classes {name} are for {', '.join(suited)}; got {', '.join(others)}.")


@dataclass(frozen=True)
class ClassificationTask:
    """Samples and their classes: ``truth[i]`` is the place of sample ``i``'s class in ``classes``.

    ``left_out`` counts what the protocol has no class for, by data set and label.
    """

    protocol: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    truth: tuple[int, ...]
    left_out: Mapping[tuple[str, str], int]

    @property
    def people(self) -> tuple[tuple[str, str], ...]:
        """Every (data set, subject), each of which is left out once."""
        people = {sample.person for sample in self.samples}
        return tuple(sorted(people, key=lambda person: (person[0], natural(person[1]))))

    def split(self, person: tuple[str, str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the numbers of the training samples and of the left-out person's samples."""
        numbered = range(len(self.samples))
        held_out = tuple(i for i in numbered if self.samples[i].person == person)
        return tuple(i for i in numbered if self.samples[i].person != person), held_out


def assign(name: str, samples: Sequence[Sample]) -> ClassificationTask:
    """Return the classes of some samples under a protocol.

    Raises ``SettingError`` for an unknown protocol, or one that is not for these data sets; ``DatasetError`` if there
    are too few clips, subjects or classes to leave a subject out.
    """
    check_protocol(name, {sample.dataset for sample in samples})
    protocol = PROTOCOLS[name]
    class_names = [protocol.class_of(sample) for sample in samples]
    classes = protocol.classes or tuple(sorted({each for each in class_names if each is not None}))
    kept = [
        (sample, classes.index(each)) for sample, each in zip(samples, class_names, strict=True) if each is not None
    ]
    left_out = Counter((s.dataset, s.label) for s, each in zip(samples, class_names, strict=True) if each is None)
    task = ClassificationTask(
        name, classes, tuple(s for s, _ in kept), tuple(t for _, t in kept), dict(sorted(left_out.items()))
    )
    if len(task.people) < 2 or len(set(task.truth)) < 2:
        raise DatasetError(
            f"Leaving one subject out needs clips of at least 2 subjects and 2 classes; "
            f"there are {len(task.samples)} clips of {len(task.people)} subjects and {len(set(task.truth))} classes."
        )
    return task


def zero_shot_map(protocol: str, classes: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Return the class of each of the network's labels, without labels that belong to no class.

    Raises ``SettingError`` if fewer than two classes are reached.
    """
    stated = PROTOCOLS[protocol].from_model
    pairs = {label: label for label in labels} if stated is None else stated
    mapping = {label: pairs[label] for label in labels if pairs.get(label) in classes}
    if len(set(mapping.values())) < 2:
        raise SettingError(
            f"Without training, at least 2 of the classes {', '.join(classes)} must be among what the network says "
            f"({', '.join(labels)}); leave out --zero-shot."
        )
    return mapping


def check_leak(
    samples: Sequence[Sample], digests: Sequence[Sequence[str]], train: Sequence[int], held_out: Sequence[int]
) -> None:
    """Check that no frame of the left-out subject is in a training clip.

    ``digests[i]`` are the SHA-256 of each frame of sample ``i``, ``train`` and ``held_out`` numbers of samples. Raises
    ``DatasetError``, naming both clips, if a frame is in both.
    """
    positions = {digest: (i, at) for i in held_out for at, digest in enumerate(digests[i])}
    for other in train:
        for digest in digests[other]:
            if digest in positions:
                number, at = positions[digest]
                sample, twin = samples[number], samples[other]
                frame = sample.frames[at].name if sample.frames else f"number {at}"
                raise DatasetError(
                    f"Frame {frame} of the left-out subject {sample.dataset}/{sample.subject}, clip {sample.clip}, is "
                    f"also in training clip {twin.clip} of subject {twin.dataset}/{twin.subject}; "
                    "no fold may train on what it is tested on."
                )
