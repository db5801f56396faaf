"""Quotes: the span in a sentence one can read, in a clean phrase, or with all the items of its list."""

from kb.quoting import Quote, asks_for_list, readable_quote, spoken


def quote(text: str, part: str, question: str = "how long?") -> Quote:
    start = text.index(part)
    found = readable_quote(text, (start, start + len(part)), question)
    assert all(0 <= a < b <= len(text) for a, b in found.pieces)
    return found


def test_a_span_is_widened_to_its_sentence() -> None:
    text = "Ask first. Receipts are due\nwithin 30 days. Then wait."
    found = quote(text, "30 days")
    assert found.text == "Receipts are due within 30 days."
    assert [text[a:b] for a, b in found.pieces] == ["Receipts are due\nwithin 30 days."]


def test_a_long_sentence_is_cut_to_the_clauses_around_the_span() -> None:
    text = "; ".join(f"rule {n} says that whoever comes late has to wait outside the door" for n in range(20)) + "."
    found = quote(text, "rule 11")
    assert found.text.startswith("rule ") and "rule 11 says" in found.text and len(found.text) <= 320


def test_all_items_of_a_list_are_quoted_for_a_question_that_wants_several() -> None:
    text = "What to bring:\n\n- a badge\n- a laptop. It must be charged.\n- water\n\nCome early."
    found = quote(text, "a laptop", "Which things do I bring?")
    assert found.text == "- a badge\n- a laptop. It must be charged.\n- water"
    assert [text[a:b] for a, b in found.pieces] == ["a badge", "a laptop. It must be charged.", "water"]
    assert quote(text, "What to bring", "Which things do I bring?").text == found.text


def test_all_steps_are_quoted_for_a_question_how_to_do_something() -> None:
    text = "To add a calendar:\n\n1. Open the settings\n2. Click on Add\n3. Choose a country\n\nThen wait."
    steps = "1. Open the settings\n2. Click on Add\n3. Choose a country"
    assert quote(text, "Open the settings", "How do I add a calendar?").text == steps
    assert quote(text, "Click on Add", "怎么添加日历？").text == steps
    assert quote(text, "Choose a country", "What do I choose?").text == "Choose a country"


def test_one_item_is_enough_for_a_question_about_one_fact() -> None:
    text = "Prices:\n- Basic: 5 euros\n- Gold: 9 euros\n"
    assert quote(text, "9 euros", "What does Gold cost?").text == "Gold: 9 euros"


def test_a_span_over_several_items_is_a_list_whatever_was_asked() -> None:
    text = "You need:\n- a badge\n- a laptop\n"
    assert quote(text, "a badge\n- a laptop", "gear").text == "- a badge\n- a laptop"


def test_a_line_that_leads_to_something_brings_it_along() -> None:
    text = "Copy the files and point the command at them:\n\nkb model install --from DIR\nkb doctor\n\nDone."
    found = quote(text, "Copy the files")
    assert found.text.endswith("at them:\nkb model install --from DIR\nkb doctor")
    assert [text[a:b] for a, b in found.pieces] == [text[: text.index("\n\nDone")]]


def test_a_table_row_is_spoken_with_its_cells_apart() -> None:
    assert spoken("| Basic |   10 users | yes |") == "Basic · 10 users · yes"
    assert spoken("> 注意：先备份。") == "注意：先备份。"
    assert spoken("3. Sign in") == "Sign in"


def test_questions_for_several_things_are_recognised_in_both_languages() -> None:
    assert asks_for_list("Which documents do I need?")
    assert asks_for_list("需要哪些材料？")
    assert not asks_for_list("Who signs the form?")
    assert not asks_for_list("默认端口是多少？")
