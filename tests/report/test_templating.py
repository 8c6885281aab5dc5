import jinja2
import pytest

from mexplain.report.templating import environment, render


@pytest.mark.parametrize(("name", "escaped"), [("a.html", True), ("a.svg", True), ("a.md", False)])
def test_html_and_svg_escape_their_values(name, escaped, monkeypatch):
    page = environment("mexplain.report").overlay(loader=jinja2.DictLoader({name: "<b title='{{ x }}'>{{ x }}</b>"}))
    monkeypatch.setattr("mexplain.report.templating.environment", lambda package: page)
    assert ("<script>" in render("mexplain.report", name, x="<script>'")) is not escaped
    assert ("''" in render("mexplain.report", name, x="<script>'")) is not escaped


def test_a_value_that_was_not_given_is_an_error():
    template = environment("mexplain.report").from_string("{{ missing }}")
    with pytest.raises(jinja2.UndefinedError):
        template.render()
