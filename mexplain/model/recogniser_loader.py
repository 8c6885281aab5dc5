"""A recogniser by the name of what makes it: ``module:factory``, as its owner types it on the command line.

This imports and runs code. It is for names that whoever runs the program chose, and never for anything uploaded.
"""

import sys
from importlib import import_module
from pathlib import Path

from mexplain.checks import check_recogniser_name
from mexplain.errors import RecogniserError
from mexplain.model.call_limiter import CallLimiter
from mexplain.model.recogniser import CheckedRecogniser


def load_recogniser(name: str) -> CheckedRecogniser:
    """Import a module, which may lie in the working folder, call its factory, and check what that makes.

    Raises ``RecogniserError`` for a module or factory that is not there, raises or hangs, and as ``CheckedRecogniser``.
    """
    check_recogniser_name(name)
    module_name, _, factory_name = name.partition(":")
    limiter = CallLimiter(name)

    def make() -> object:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and f"{module_name}.".startswith(f"{error.name}."):
                raise RecogniserError(f"There is no module {module_name!r} here, so {name} cannot be made.") from error
            raise
        factory = getattr(module, factory_name, None)
        if not callable(factory):
            raise RecogniserError(f"The module {module_name} has no function {factory_name!r}.")
        return factory()

    return CheckedRecogniser(limiter.call(make), name, limiter)
