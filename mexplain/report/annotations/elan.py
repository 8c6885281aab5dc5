"""ELAN's annotation format (.eaf), version 3.0: a tier for each kind of moment and each side of an action unit.

Format: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

# B405: only trees built here or by a parser that refuses document types are used.
from xml.etree import ElementTree  # nosec B405
from xml.parsers import expat  # nosec B407

from mexplain.errors import DatasetError
from mexplain.media.files import printable
from mexplain.report.annotations.mark import (
    Annotations,
    Mark,
    MarkedFilm,
    details_of,
    make_marks,
    one_line,
    rows_of,
    tier_of,
    tiers_in,
    unread_note,
)
from mexplain.report.annotations.text import read_bytes

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
# So that a film without marks has a tier, and a coder one to begin with.
_FIRST_TIER, _TYPE = "micro-expression", "event"


def elan_text(film: MarkedFilm, coder: str, made: datetime | None = None) -> str:
    """A film's marks as the text of an .eaf file, to lie beside the film; ``made`` is its date (default: now)."""
    rows = rows_of(film.marks)
    times = sorted({time for marks in rows.values() for mark in marks for time in mark.span_ms})
    slots = {time: f"ts{number}" for number, time in enumerate(times, 1)}
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": one_line(coder),
            "DATE": (made or datetime.now(UTC)).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _XSI,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    _add_header(root, film.name, sum(map(len, rows.values())))
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for time, slot in slots.items():
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    number = 0
    for name in dict.fromkeys((_FIRST_TIER, *rows)):
        attributes = {"LINGUISTIC_TYPE_REF": _TYPE, "TIER_ID": name, "ANNOTATOR": one_line(coder)}
        tier = ElementTree.SubElement(root, "TIER", attributes)
        for mark in rows.get(name, []):
            number += 1
            _add_annotation(tier, mark, f"a{number}", slots)
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true"
    )
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def read_elan(path: Path) -> Annotations:
    """The marks in an .eaf file.

    A tier named by a kind of moment or an action unit holds marks of that; in any other tier the annotations' own texts
    may name action units (``L12+25``). Times count from the beginning of the film, also where it was synchronised.
    Raises ``DatasetError`` for a file that is no such file, has a document type declaration, or has an annotation that
    ends before it begins.
    """
    name = printable(path.name)
    root = _parse(read_bytes(path, "ELAN"), name)
    header = root.find("HEADER")
    if root.tag != "ANNOTATION_DOCUMENT" or header is None:
        raise DatasetError(f"{name} is no ELAN file: its root must be ANNOTATION_DOCUMENT with a HEADER.")
    if header.get("TIME_UNITS", "milliseconds") != "milliseconds":
        raise DatasetError(f"{name} counts time in {header.get('TIME_UNITS')}; milliseconds were expected.")
    media = header.find("MEDIA_DESCRIPTOR")
    origin = 0 if media is None else _whole(media.get("TIME_ORIGIN", "0"), name)
    slots = {
        slot.get("TIME_SLOT_ID"): origin + _whole(slot.get("TIME_VALUE", ""), name)
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
        if slot.get("TIME_VALUE")
    }
    marks: list[Mark] = []
    unread: list[str] = []
    looked_for: dict[str, None] = {}
    for tier in root.iterfind("TIER"):
        tier_name = tier.get("TIER_ID", "")
        known = tier_of(tier_name)
        if known:
            looked_for[known[0]] = None
        for annotation in tier.iterfind("ANNOTATION/*"):
            value = annotation.findtext("ANNOTATION_VALUE") or ""
            span = [slots.get(annotation.get(f"TIME_SLOT_REF{end}")) for end in (1, 2)]
            tiers: Sequence[tuple[str, str]] = (known,) if known else tiers_in(value)
            if span[0] is None or span[1] is None or not tiers:
                unread.append(tier_name)
                continue
            if span[1] < span[0]:
                raise DatasetError(f"{name}: an annotation of {tier_name!r} ends at {span[1]} ms, before {span[0]} ms.")
            marks += make_marks(tiers, max(span[0], 0) / 1000, max(span[1], 0) / 1000, value if known else "")
    # A coder who names units in the annotations' texts looks for every unit.
    looked_for |= dict.fromkeys(mark.what for mark in marks)
    film = MarkedFilm(_film_name(media, path), tuple(marks), looked_for)
    return Annotations(_coder(root), (film,), unread_note(name, unread))


def _add_header(root: ElementTree.Element, film: str, annotations: int) -> None:
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    address = f"./{quote(film)}"
    kind = mimetypes.guess_type(film)[0] or "unknown"
    ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=address, MIME_TYPE=kind, RELATIVE_MEDIA_URL=address)
    ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(annotations)


def _add_annotation(tier: ElementTree.Element, mark: Mark, key: str, slots: dict[int, str]) -> None:
    onset, offset = mark.span_ms
    attributes = {"ANNOTATION_ID": key, "TIME_SLOT_REF1": slots[onset], "TIME_SLOT_REF2": slots[offset]}
    annotation = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", attributes)
    ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = details_of(mark)


def _parse(content: bytes, name: str) -> ElementTree.Element:
    """The root of an XML document; entities can be declared only in a document type, which is refused."""

    def refuse(*_: object) -> None:
        raise DatasetError(f"{name} has a document type declaration, which no ELAN file has; it is not read.")

    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter for odd encodings
        raise DatasetError(f"{name} is not valid XML ({error}); an ELAN file was expected.") from error
    return builder.close()


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DatasetError(f"{name}: times must be whole milliseconds; got {text[:40]!r}.") from None


def _film_name(media: ElementTree.Element | None, path: Path) -> str:
    address = "" if media is None else media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or ""
    return one_line(unquote(address).replace("\\", "/").rpartition("/")[2]) or path.stem


def _coder(root: ElementTree.Element) -> str:
    annotators = dict.fromkeys(name for tier in root.iterfind("TIER") if (name := tier.get("ANNOTATOR")))
    return one_line(", ".join(annotators) or root.get("AUTHOR") or "coder")
