"""Jinja2 templates of the rooms: HTML and SVG escape every value, other kinds of text take values as they are."""

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

_ESCAPED = ("html", "svg")


def render(package: str, template: str, /, **values: object) -> str:
    """Text of a template file in a package's ``templates/`` folder, as in ``render("mexplain.ui", "clip.html", x=1)``.

    Templates of ``mexplain.report`` can be included and imported from every package. HTML rendered before is put into
    another template with the filter ``safe``. One newline at a template's end is dropped. Raises
    ``jinja2.UndefinedError`` where the template uses a value that was not given.
    """
    return environment(package).get_template(template).render(values)


def render_markup(package: str, template: str, /, **values: object) -> Markup:
    """HTML or SVG of a template, as of ``render``, which other templates and markup take without escaping it again."""
    # B704: the environment escapes the values.
    return Markup(render(package, template, **values))  # nosec B704


@cache
def environment(package: str) -> Environment:
    """Jinja2 environment that finds the templates of one package, then those of ``mexplain.report``."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "mexplain.report"))]),
        autoescape=select_autoescape(_ESCAPED),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
