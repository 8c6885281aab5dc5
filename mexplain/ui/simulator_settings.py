"""Settings of the simulator's tab as they stand in a link."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mexplain.attribution.registry import METHODS
from mexplain.evaluation.simulated_experiment import LONGEST_S, SHORTEST_S, STRONGEST_IOD
from mexplain.simulation.action_units import ACTION_UNITS, SIDES
from mexplain.ui.permalink import query_items, query_number
from mexplain.ui.quiz import MAX_TEAMS

MAX_METHODS = 4
MAX_GAME = 9999


@dataclass(frozen=True)
class SimulatorSettings:
    """What moves, which methods are tested, and the class's game: its number, None for a random one, and its teams.

    ``side`` is the subject's own, ``strength_iod`` 0 to ``STRONGEST_IOD``, ``lasts_s`` ``SHORTEST_S`` to ``LONGEST_S``.
    """

    person: str = "Person 1"
    action_units: tuple[int, ...] = (12,)
    side: str = "both"
    strength_iod: float = 0.06
    lasts_s: float = 0.5
    methods: tuple[str, ...] = ("integrated_gradients",)
    game: int | None = None
    teams: int = 1


def default_texts() -> dict[str, str]:
    """Defaults by name, each as a link would have it: lists with commas, "" for None."""
    return {name: _text(value) for name, value in asdict(SimulatorSettings()).items()}


def simulator_from_query(query: Mapping[str, str], people: tuple[str, ...]) -> SimulatorSettings:
    """Settings of a link's query; unknown names and impossible values are ignored."""
    units = {str(number): number for number in ACTION_UNITS}
    found: dict[str, Any] = {
        "person": query.get("person") if query.get("person") in people else None,
        "action_units": tuple(units[text] for text in query_items(query, "action_units") if text in units),
        "side": query.get("side") if query.get("side") in SIDES else None,
        "strength_iod": query_number(query, "strength_iod", 0.0, STRONGEST_IOD),
        "lasts_s": query_number(query, "lasts_s", SHORTEST_S, LONGEST_S),
        "methods": tuple(text for text in query_items(query, "methods") if text in METHODS)[:MAX_METHODS],
        "game": query_number(query, "game", 0.0, float(MAX_GAME)),
        "teams": query_number(query, "teams", 1.0, float(MAX_TEAMS)),
    }
    found = {name: value for name, value in found.items() if value not in (None, ())}
    found |= {name: int(found[name]) for name in ("game", "teams") if name in found}
    return SimulatorSettings(**found)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
