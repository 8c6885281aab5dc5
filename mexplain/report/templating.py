"""Jinja2 templates of the rooms: HTML and SVG escape every value, other kinds of text take values as they are.

``{% trans %}`` and ``_()`` mark what is translated; messages among the values are said in the same language.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Undefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup

from mexplain.language.current import ENGLISH, LANGUAGES, language, using_language
from mexplain.language.message import local_number, percent, plural, say, text

_ESCAPED = ("html", "svg")


class RenderedMarkup(Markup):
    """HTML in English that can be said in other languages: of a template and its values, or of several such."""

    parts: tuple[Any, ...]

    @classmethod
    def of_template(cls, package: str, template: str, values: dict[str, object]) -> "RenderedMarkup":
        """HTML of a template."""
        with using_language(ENGLISH):
            made = cls(render(package, template, **values))
        made.parts = (package, template, values)
        return made

    def __add__(self, more: Any) -> "RenderedMarkup":
        added = RenderedMarkup(str(self) + str(more))
        added.parts = (self, more)
        return added

    def said(self) -> str:
        """The HTML in the language that this context speaks."""
        if len(self.parts) == 3:
            package, template, values = self.parts
            return Markup(render(package, template, **values))  # nosec B704
        return Markup("").join(Markup(say(part)) for part in self.parts)  # nosec B704


def render(package: str, template: str, /, **values: object) -> str:
    """Text of a template file in a package's ``templates/`` folder, as in ``render("mexplain.ui", "clip.html", x=1)``.

    Templates of ``mexplain.report`` can be included and imported from every package. HTML rendered before is put into
    another template with the filter ``safe``. One newline at a template's end is dropped. Raises
    ``jinja2.UndefinedError`` where the template uses a value that was not given.
    """
    return environment(package).get_template(template).render(values)


def render_markup(package: str, template: str, /, **values: object) -> RenderedMarkup:
    """HTML or SVG of a template, as of ``render``, which other templates and markup take without escaping it again."""
    # The environment escapes the values.
    return RenderedMarkup.of_template(package, template, values)


@cache
def environment(package: str) -> Environment:
    """Jinja2 environment that finds the templates of one package, then those of ``mexplain.report``."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "mexplain.report"))]),
        autoescape=select_autoescape(_ESCAPED),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        finalize=_finalize,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.newstyle_gettext = True  # type: ignore[attr-defined]
    made.filters["join"] = _join
    made.globals |= {"_": _gettext, "gettext": _gettext, "ngettext": _ngettext}
    made.globals |= {"language": language, "languages": LANGUAGES, "local": local_number, "percent": percent}
    return made


def _finalize(value: Any) -> Any:
    # What an "if" without "else" leaves out.
    return value if isinstance(value, Undefined) else say(value)


@pass_context
def _gettext(context: Context, message: str, /, **values: object) -> str:
    return _filled(context, str(say(text(message))), values)


@pass_context
def _ngettext(context: Context, message: str, more: str, count: int, /, **values: object) -> str:
    return _filled(context, str(say(plural(message, more, count))), {"num": count} | values)


def _filled(context: Context, message: str, values: dict[str, object]) -> str:
    # B704: Markup escapes the values; the message is ours.
    template = Markup(message) if context.eval_ctx.autoescape else message  # nosec B704
    return template % {name: say(value) for name, value in values.items()}


def _join(parts: Iterable[Any], between: str = "") -> str:
    said = [say(part) for part in parts]
    if any(isinstance(part, Markup) for part in said):
        return Markup(between).join(said)  # nosec B704
    return between.join(map(str, said))
