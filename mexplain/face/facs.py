"""The action units of the Facial Action Coding System (FACS): name, muscles, and what a reader sees move.

Numbers, names and muscles are those of FACS (Ekman, Friesen and Hager 2002); the words for what moves are ours.
"""

from dataclasses import dataclass

from mexplain.language.message import text


@dataclass(frozen=True)
class FacsUnit:
    """The words for one action unit.

    ``name`` is its name in FACS, ``muscles`` are the muscles that make it. A sentence is made of the part that moves on
    the ``left`` or the ``right`` and what it ``does``, or of ``parts`` on both sides and what they ``do``; a
    unit in the middle of the face has no sides.
    """

    name: str
    muscles: str
    left: str
    right: str
    does: str
    parts: str
    do: str
    sided: bool = True


FACS: dict[int, FacsUnit] = {
    1: FacsUnit(
        text("inner brow raiser"),
        text("frontalis, pars medialis"),
        text("the left inner brow"),
        text("the right inner brow"),
        text("rises"),
        text("both inner brows"),
        text("rise"),
    ),
    2: FacsUnit(
        text("outer brow raiser"),
        text("frontalis, pars lateralis"),
        text("the left outer brow"),
        text("the right outer brow"),
        text("rises"),
        text("both outer brows"),
        text("rise"),
    ),
    4: FacsUnit(
        text("brow lowerer"),
        text("corrugator supercilii, depressor supercilii, procerus"),
        text("the left brow"),
        text("the right brow"),
        text("is lowered"),
        text("both brows"),
        text("are lowered"),
    ),
    5: FacsUnit(
        text("upper lid raiser"),
        text("levator palpebrae superioris"),
        text("the left upper lid"),
        text("the right upper lid"),
        text("rises"),
        text("both upper lids"),
        text("rise"),
    ),
    6: FacsUnit(
        text("cheek raiser"),
        text("orbicularis oculi, pars orbitalis"),
        text("the left cheek"),
        text("the right cheek"),
        text("rises"),
        text("both cheeks"),
        text("rise"),
    ),
    7: FacsUnit(
        text("lid tightener"),
        text("orbicularis oculi, pars palpebralis"),
        text("the left eyelids"),
        text("the right eyelids"),
        text("tighten"),
        text("the lids of both eyes"),
        text("tighten"),
    ),
    9: FacsUnit(
        text("nose wrinkler"),
        text("levator labii superioris alaeque nasi"),
        text("the left side of the nose"),
        text("the right side of the nose"),
        text("wrinkles"),
        text("the nose"),
        text("wrinkles"),
    ),
    10: FacsUnit(
        text("upper lip raiser"),
        text("levator labii superioris"),
        text("the left upper lip"),
        text("the right upper lip"),
        text("rises"),
        text("the upper lip"),
        text("rises"),
    ),
    12: FacsUnit(
        text("lip corner puller"),
        text("zygomaticus major"),
        text("the left lip corner"),
        text("the right lip corner"),
        text("rises"),
        text("both lip corners"),
        text("rise"),
    ),
    14: FacsUnit(
        text("dimpler"),
        text("buccinator"),
        text("the left lip corner"),
        text("the right lip corner"),
        text("is pressed in"),
        text("both lip corners"),
        text("are pressed in"),
    ),
    15: FacsUnit(
        text("lip corner depressor"),
        text("depressor anguli oris"),
        text("the left lip corner"),
        text("the right lip corner"),
        text("sinks"),
        text("both lip corners"),
        text("sink"),
    ),
    17: FacsUnit(
        text("chin raiser"),
        text("mentalis"),
        text("the chin"),
        text("the chin"),
        text("rises"),
        text("the chin"),
        text("rises"),
        sided=False,
    ),
    20: FacsUnit(
        text("lip stretcher"),
        text("risorius, platysma"),
        text("the left lip corner"),
        text("the right lip corner"),
        text("is stretched sideways"),
        text("both lip corners"),
        text("are stretched sideways"),
    ),
    24: FacsUnit(
        text("lip presser"),
        text("orbicularis oris"),
        text("the left half of the lips"),
        text("the right half of the lips"),
        text("is pressed"),
        text("the lips"),
        text("are pressed"),
    ),
    25: FacsUnit(
        text("lips part"),
        text("depressor labii inferioris, or relaxed mentalis or orbicularis oris"),
        text("the left half of the lower lip"),
        text("the right half of the lower lip"),
        text("parts from the upper"),
        text("the lips"),
        text("part"),
    ),
    26: FacsUnit(
        text("jaw drop"),
        text("relaxed masseter and temporalis"),
        text("the jaw"),
        text("the jaw"),
        text("drops"),
        text("the jaw"),
        text("drops"),
        sided=False,
    ),
    45: FacsUnit(
        text("blink"),
        text("relaxed levator palpebrae superioris; orbicularis oculi, pars palpebralis"),
        text("the left eye"),
        text("the right eye"),
        text("blinks"),
        text("both eyes"),
        text("blink"),
    ),
}
