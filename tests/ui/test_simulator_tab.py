"""The simulator's tab of the real hub: move a muscle, see who notices, and play."""

from support.addresses import wait_for_settings

from mexplain.ui.components.quiz_panel import QuizPanel
from mexplain.ui.server.blocks import HubBlocks


def test_move_a_muscle_and_see_who_noticed(visit):
    visitor = visit(query="?method=attention")
    page = visitor.page
    visitor.open_tab("Simulator")
    page.wait_for_selector("#simulated img")
    # The class's game has a number of its own, and not that of everybody.
    page.wait_for_function("Number(document.querySelector('#seed input').value) > 0")
    page.locator("#tested .token-remove").first.click()
    page.locator("#tested input").click()
    page.get_by_role("option", name="Attention x gradient").click()
    page.keyboard.press("Escape")
    page.wait_for_url("**/?*methods=attention_x_gradient*")
    page.click("#move")
    page.wait_for_selector("#truth img")
    assert "mouth corner" in page.get_attribute("#truth img", "alt")
    page.wait_for_selector("#findings table")
    assert page.locator("#findings tbody tr").count() == 3
    assert page.locator("#findings tbody tr").first.locator("td.yes").count() >= 2
    assert page.locator("#findings td.yes, #findings td.no").count() >= 3 + 2 + 2
    assert "noticed it" in page.inner_text("#noticed")
    visitor.check()

    # What was simulated can be looked at in the other tabs.
    visitor.open_tab("What if")
    page.wait_for_selector("[data-block]")


def test_no_game_starts_before_it_has_a_number(tmp_path):
    with HubBlocks(tmp_path):
        panel = QuizPanel()
    assert not panel.start.interactive


def test_the_class_game_keeps_the_score(visit):
    link = "?tab=simulator&person=Person+2&action_units=1,4&side=left&strength_iod=0.1&game=7"
    visitor = visit(width=390, scheme="dark", query=link)
    page = visitor.page
    # All that the link says is set.
    page.wait_for_selector("#simulated >> text=Person 2, who does not exist")
    page.wait_for_function("document.querySelector('#seed input').value === '7'")
    assert page.get_by_label("Person 2").is_checked() and page.get_by_label("Their left").is_checked()
    assert page.input_value("#strength input[type=number]") == "0.1"
    assert page.locator("#units .token").count() == 2
    page.click("#start")
    for number in range(1, 6):
        page.wait_for_selector(f"#puzzle >> text=Round {number} of 5")
        assert page.locator("#choice label").count() == 4
        if number == 1:
            page.click("#reveal")
            page.wait_for_selector("#score >> text=Choose what moves first")
        page.locator("#choice label").nth(number % 4).click()
        page.click("#reveal")
        page.wait_for_selector("#solution img")
        assert "AU" in page.inner_text("#solution h3")
        page.wait_for_selector(f"#score >> text=of {number} right")
        if number < 5:
            page.click("#next")
    page.wait_for_selector("#score >> text=The game is over")
    assert not page.locator("#next").is_visible()
    visitor.check()

    # Another game, for two teams; its address reopens it.
    page.locator("#teams label").nth(1).click()
    page.click("#other_game")
    page.wait_for_function("document.querySelector('#seed input').value !== '7'")
    number = page.input_value("#seed input")
    page.click("#start")
    wait_for_settings(page, game=number, teams="2")
    page.wait_for_selector("#choice_2")
    page.locator("#choice_2 label").first.click()
    page.click("#reveal")
    page.wait_for_selector("#score >> text=Team 1 must choose first")
    page.locator("#choice label").first.click()
    page.click("#reveal")
    page.wait_for_selector("#solution h3 >> text=/No team was right|Right: teams 1 and 2/")
    assert page.locator("#standings tbody tr").count() == 2
    visitor.check()
