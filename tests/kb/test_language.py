"""The language of a question, and whether a follow-up needs the question before it."""

import pytest

from kb.followups import is_standalone, search_text
from kb.language import is_written_in, not_found, question_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How long is the warranty?", "en"),
        ("vacation days part-time", "en"),
        ("do users pay?", "en"),
        ("no mx record", "en"),
        ("apisix 3.3.0 里 hold_body_chunk 那个修复是干嘛的", "zh"),
        ("默认端口？", "zh"),
        ("パスワードはどこですか", "ja"),
        ("Wie lange ist die Garantie und wer zahlt?", "de"),
        ("Où est le formulaire pour les congés ?", "fr"),
        ("¿Cómo puedo cambiar la contraseña de mi cuenta?", "es"),
        ("8192?", "en"),
    ],
)
def test_the_language_of_a_question(text: str, language: str) -> None:
    assert question_language(text) == language


def test_refusals_speak_the_questions_language_or_english() -> None:
    assert not_found("zh").startswith("文档")
    assert not_found("fr") == not_found("en")


def test_a_chinese_document_is_not_for_an_english_writer() -> None:
    assert is_written_in("Use `kubectl get pods` on 集群.", frozenset({"en"}))
    assert not is_written_in("默认上限 `max_pending_entries` 是 8192 条。", frozenset({"en"}))


@pytest.mark.parametrize(
    "text",
    [
        "And for contractors?",
        "why?",
        "Can they carry it over?",
        "Which days count for the old one?",
        "那外包员工呢？",
        "它的默认值是多少",
    ],
)
def test_a_follow_up_that_leans_on_the_last_question_is_searched_with_it(text: str) -> None:
    assert not is_standalone(text)
    assert "vacation" in search_text(text, ["Hello there", "How many vacation days do staff get?"])
    assert search_text(text, []) == text


@pytest.mark.parametrize(
    "text",
    [
        "How many vacation days do contractors get?",
        "Can two servers share one data folder?",
        "差旅报销需要提交发票原件吗？",
    ],
)
def test_a_question_that_names_its_subject_is_searched_alone(text: str) -> None:
    assert is_standalone(text)
    assert search_text(text, ["Who signs travel requests?"]) == text
