"""Every message has its translation, and none says other things than the English one has values for."""

import copy
import pickle
import re

import pytest
from babel import Locale
from support.messages import catalogue_of, messages

from mexplain.language.catalogue import number_signs
from mexplain.language.current import LANGUAGES, chosen_language, using_language
from mexplain.language.message import Written, plural, say, text

TRANSLATED = [code for code in LANGUAGES if code != "en"]
PLACES = re.compile(r"\{[^{}]*\}|%\([a-z_]+\)s|%%|</?[a-z]+[^>]*>")


def places(message: str) -> list[str]:
    """What is filled in, and HTML tags."""
    return sorted(PLACES.findall(message))


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_holds_every_message_and_no_other(code):
    catalogue, asked = catalogue_of(code), messages()
    held = {message.id: message for message in catalogue if message.id}
    assert sorted(map(str, asked.keys() - held.keys())) == []
    assert sorted(map(str, held.keys() - asked.keys())) == []
    assert [message.id for message in held.values() if message.fuzzy] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_is_whole_and_keeps_places_and_tags(code):
    catalogue = catalogue_of(code)
    for message in catalogue:
        if not message.id:
            continue
        ids, forms = ((message.id,), (message.string,)) if isinstance(message.id, str) else (message.id, message.string)
        assert len(forms) == (1 if isinstance(message.id, str) else catalogue.num_plurals), message.id
        for number, form in enumerate(forms):
            english = ids[number] if len(forms) == len(ids) else ids[-1]
            assert form.strip() or not english.strip(), message.id
            assert places(form) == places(english), message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_plural_forms_are_those_of_the_language(code):
    assert catalogue_of(code).num_plurals == (1 if code == "zh" else 2)


def test_numbers_are_written_as_the_language_does():
    for code in TRANSLATED:
        assert number_signs(code)[0] == Locale.parse(code).number_symbols["latn"]["decimal"]
    with using_language("de"):
        assert say(Written("1,234.5")) == "1.234,5"
        assert say(text("{before} before, {now} now", before=0.5, now=2)) == "vorher 0,5, jetzt 2"
    assert say(Written("1,234.5")) == "1,234.5"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda message: pickle.loads(pickle.dumps(message))])
def test_a_copied_message_is_still_said_in_every_language(again):
    message = again(text("{first} and {last}", first=text("left"), last=text("right")))
    assert message == "left and right"
    with using_language("de"):
        assert say(message) == "links und rechts"
    assert again(plural("one", "{count} ones", 2)) == "2 ones"


@pytest.mark.parametrize(
    ("query", "accepted", "code"),
    [
        ({"lang": "fr"}, "de", "fr"),
        ({"lang": "xx"}, "de-AT,en;q=0.5", "de"),
        ({}, "it, zh-CN;q=0.3, es;q=0.8", "es"),
        ({}, "es;q=0, en", "en"),
        ({}, "", "en"),
        ({}, ";q=x,,", "en"),
    ],
)
def test_the_address_chooses_a_language_before_the_browser(query, accepted, code):
    assert chosen_language(query, accepted) == code
