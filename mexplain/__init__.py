"""Shows which face regions drive a micro-expression recogniser, and how far that can be trusted.

The public interface is what ``__all__`` lists. It is loaded when first used: ``import mexplain`` alone stays cheap.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mexplain.attribution.baselines import BASELINES
    from mexplain.attribution.registry import METHODS
    from mexplain.errors import (
        CheckpointError,
        ClipError,
        FaceError,
        MexplainError,
        RecogniserError,
        SettingError,
    )
    from mexplain.explain.explain import explain, explain_steps
    from mexplain.explain.own_network import explain_recogniser
    from mexplain.model.checkpoint import Checkpoint, load_checkpoint
    from mexplain.model.recogniser import InputSpec, Recogniser
    from mexplain.records import VARIANTS, BlockReport, ExplainRequest, FaithfulnessReport, Report, VariantReport
    from mexplain.report.html_page import write_html
    from mexplain.report.json_export import write_json

__version__ = "0.2.0"
__all__ = [
    "BASELINES",
    "METHODS",
    "VARIANTS",
    "BlockReport",
    "Checkpoint",
    "CheckpointError",
    "ClipError",
    "ExplainRequest",
    "FaceError",
    "FaithfulnessReport",
    "InputSpec",
    "MexplainError",
    "Recogniser",
    "RecogniserError",
    "Report",
    "SettingError",
    "VariantReport",
    "explain",
    "explain_recogniser",
    "explain_steps",
    "load_checkpoint",
    "write_html",
    "write_json",
]
_MODULES = {
    "mexplain.attribution.baselines": ("BASELINES",),
    "mexplain.attribution.registry": ("METHODS",),
    "mexplain.errors": (
        "CheckpointError",
        "ClipError",
        "FaceError",
        "MexplainError",
        "RecogniserError",
        "SettingError",
    ),
    "mexplain.explain.explain": ("explain", "explain_steps"),
    "mexplain.explain.own_network": ("explain_recogniser",),
    "mexplain.model.checkpoint": ("Checkpoint", "load_checkpoint"),
    "mexplain.model.recogniser": ("InputSpec", "Recogniser"),
    "mexplain.records": ("VARIANTS", "BlockReport", "ExplainRequest", "FaithfulnessReport", "Report", "VariantReport"),
    "mexplain.report.html_page": ("write_html",),
    "mexplain.report.json_export": ("write_json",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


class _LazyPackage(ModuleType):
    """A package that imports its public names when they are first used."""

    def __getattr__(self, name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        # The import system would put the subpackage mexplain.explain in the place of the function of that name.
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _LazyPackage
