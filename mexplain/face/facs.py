"""The action units of the Facial Action Coding System (FACS): name, muscles, and what a reader sees move.

Numbers, names and muscles are those of FACS (Ekman, Friesen and Hager 2002); the words for what moves are ours.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FacsUnit:
    """The words for one action unit.

    ``name`` is its name in FACS, ``muscles`` are the muscles that make it. A sentence is made of the part that moves on
    one side (``part``, with ``{side}``) and what it ``does``, or of ``parts`` on both sides and what they ``do``; a
    unit in the middle of the face has no sides.
    """

    name: str
    muscles: str
    part: str
    does: str
    parts: str
    do: str
    sided: bool = True


FACS: dict[int, FacsUnit] = {
    1: FacsUnit(
        "inner brow raiser", "frontalis, pars medialis", "the {side} inner brow", "rises", "both inner brows", "rise"
    ),
    2: FacsUnit(
        "outer brow raiser", "frontalis, pars lateralis", "the {side} outer brow", "rises", "both outer brows", "rise"
    ),
    4: FacsUnit(
        "brow lowerer",
        "corrugator supercilii, depressor supercilii, procerus",
        "the {side} brow",
        "is lowered",
        "both brows",
        "are lowered",
    ),
    5: FacsUnit(
        "upper lid raiser",
        "levator palpebrae superioris",
        "the {side} upper lid",
        "rises",
        "both upper lids",
        "rise",
    ),
    6: FacsUnit(
        "cheek raiser", "orbicularis oculi, pars orbitalis", "the {side} cheek", "rises", "both cheeks", "rise"
    ),
    7: FacsUnit(
        "lid tightener",
        "orbicularis oculi, pars palpebralis",
        "the {side} eyelids",
        "tighten",
        "the lids of both eyes",
        "tighten",
    ),
    9: FacsUnit(
        "nose wrinkler",
        "levator labii superioris alaeque nasi",
        "the {side} side of the nose",
        "wrinkles",
        "the nose",
        "wrinkles",
    ),
    10: FacsUnit(
        "upper lip raiser", "levator labii superioris", "the {side} upper lip", "rises", "the upper lip", "rises"
    ),
    12: FacsUnit(
        "lip corner puller", "zygomaticus major", "the {side} lip corner", "rises", "both lip corners", "rise"
    ),
    14: FacsUnit(
        "dimpler", "buccinator", "the {side} lip corner", "is pressed in", "both lip corners", "are pressed in"
    ),
    15: FacsUnit(
        "lip corner depressor", "depressor anguli oris", "the {side} lip corner", "sinks", "both lip corners", "sink"
    ),
    17: FacsUnit("chin raiser", "mentalis", "the chin", "rises", "the chin", "rises", sided=False),
    20: FacsUnit(
        "lip stretcher",
        "risorius, platysma",
        "the {side} lip corner",
        "is stretched sideways",
        "both lip corners",
        "are stretched sideways",
    ),
    24: FacsUnit(
        "lip presser", "orbicularis oris", "the {side} half of the lips", "is pressed", "the lips", "are pressed"
    ),
    25: FacsUnit(
        "lips part",
        "depressor labii inferioris, or relaxed mentalis or orbicularis oris",
        "the {side} half of the lower lip",
        "parts from the upper",
        "the lips",
        "part",
    ),
    26: FacsUnit("jaw drop", "relaxed masseter and temporalis", "the jaw", "drops", "the jaw", "drops", sided=False),
    45: FacsUnit(
        "blink",
        "relaxed levator palpebrae superioris; orbicularis oculi, pars palpebralis",
        "the {side} eye",
        "blinks",
        "both eyes",
        "blink",
    ),
}
