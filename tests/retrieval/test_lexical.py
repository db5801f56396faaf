"""Terms, their packing and hashing, and BM25 against a slow, obvious reference."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.han_variants import TO_SIMPLIFIED
from retrieval.lexical import (
    LEXICAL_DIM,
    bm25,
    count_terms,
    hash_term,
    inverse_document_frequency,
    pack_terms,
    passage_half,
    query_half,
    stem,
    terms,
    unpack_terms,
)

SENTENCES = st.lists(
    st.sampled_from("vpn reset password policy 订单 退款 v2.1 max_size the of invoices paid".split()), max_size=30
).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The policies were updated", ["policy", "updat"]),
        ("retrieval of the documents", ["retrieval", "document"]),
        ("集群部署", ["集", "群", "部", "署", "集群", "群部", "部署"]),
        ("TiDB集群", ["tidb", "ti", "db", "集", "群", "集群"]),
        ("ＡＰＩ　１２３", ["api", "123"]),
        ("Café naïve", ["caf", "naiv"]),
        ("max_connections", ["max_connections", "max", "connection"]),
        ("maxUploadSize", ["maxuploadsiz", "max", "upload", "siz"]),
        ("CVE-2023-1234", ["cve-2023-1234", "cve", "2023", "1234"]),
        ("version v5.2.7", ["version", "5.2.7"]),
        ("5.2.7", ["5.2.7"]),
        ("10,000 rows", ["10000", "row"]),
        ("5GB", ["5gb", "5", "gb"]),
        ("C++ and C#", ["c++", "c#"]),
        ("the company's IT desk", ["company", "IT", "desk"]),
        ("don’t", []),
        ("zero\u200bwidth soft\u00adhyphen", ["zerowidth", "softhyphen"]),
        ("what is the", []),
        ("如何部署集群？", ["部", "署", "集", "群", "部署", "署集", "集群"]),
        ("目的是什么", ["目", "目的", "的是"]),
        ("為什麼", []),
        ("サーバーを再起動する", ["サー", "ーバ", "バー", "ーを", "再", "起", "动", "再起", "起动", "する"]),
        ("本の山", ["本", "山"]),
        ("ﾊﾞｯｸｱｯﾌﾟ", terms("バックアップ")),
        ("비밀번호를 변경", ["비밀", "밀번", "번호", "호를", "변경"]),
        ("ที่อยู่", ["ที่อ", "อยู่"]),
        ("PC를 3.5GB", ["pc", "를", "3.5gb", "5gb", "5", "gb"]),
        ("Größe déjà", ["gross", "deja"]),
        ("執行計畫", terms("执行计画")),
        ("🎉🎉 !!! ...", []),
        ("", []),
    ],
)
def test_text_becomes_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    "forms",
    [
        ("policy", "policies"),
        ("reset", "resets", "resetting"),
        ("plan", "plans", "planned", "planning"),
        ("configure", "configured", "configuring", "configures"),
        ("apply", "applies", "applied"),
        ("box", "boxes"),
        ("pass", "passes", "passed", "passing"),
        ("month", "monthly", "months"),
    ],
)
def test_forms_of_a_word_share_one_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize("word", ["status", "analysis", "glass", "2023s", "é", "vpn"])
def test_words_that_only_look_inflected_keep_their_form(word: str) -> None:
    assert stem(word) == word


def test_hashes_and_places_are_pinned_because_stored_rows_depend_on_them() -> None:
    assert [hash_term(term) for term in ("policy", "集群", "5.2.7")] == [4232563179, 1572864620, 1875311294]
    half = passage_half(count_terms("reset the password"))
    assert {int(place): round(float(half[place]), 4) for place in np.flatnonzero(half)} == {218: 0.7071, 558: 0.7071}


@given(st.text())
def test_any_text_gives_a_unit_half_and_packs_losslessly(text: str) -> None:
    counted = count_terms(text)
    unpacked = unpack_terms(pack_terms(text))
    assert unpacked.hashes.tolist() == counted.hashes.tolist() == sorted(set(counted.hashes.tolist()))
    assert unpacked.counts.tolist() == counted.counts.tolist()
    assert unpacked.length == len(terms(text))
    half = passage_half(counted)
    assert half.shape == (LEXICAL_DIM,) and half.dtype == np.float32
    assert np.linalg.norm(half) == pytest.approx(1.0, abs=1e-6)


@given(st.text(alphabet=st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
def test_full_width_letters_and_digits_are_the_same_terms(text: str) -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalnum() else letter for letter in text)
    assert terms(wide) == terms(text)


def test_terms_that_cancel_out_in_one_dimension_still_give_a_unit_half() -> None:
    assert np.linalg.norm(passage_half(count_terms("E:µ"))) == pytest.approx(1.0, abs=1e-6)


def test_simplified_characters_are_folded_no_further() -> None:
    assert not set(TO_SIMPLIFIED.values()) & {chr(code) for code in TO_SIMPLIFIED}


def test_a_word_of_a_million_letters_is_one_short_term() -> None:
    assert [len(term) for term in terms("x" * 1_000_000)] == [64]


def test_counts_beyond_sixteen_bits_are_clamped() -> None:
    assert unpack_terms(pack_terms("reset " * 70_000)).counts.tolist() == [65_535]


def test_packed_terms_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="7 bytes is no multiple of 6"):
        unpack_terms(b"1234567")


def test_a_query_of_unknown_weight_has_an_empty_half() -> None:
    counted = count_terms("the of and")
    assert not query_half(counted, np.zeros(len(counted.hashes))).any()


def test_rare_terms_weigh_more_than_common_ones_and_never_less_than_nothing() -> None:
    weights = inverse_document_frequency(10, np.array([0, 1, 5, 10, 12]))
    assert np.all(np.diff(weights) <= 0) and weights[-1] >= 0


def slow_bm25(query: str, passages: list[str]) -> list[float]:
    """BM25 as in the textbook: one term, one passage at a time."""
    bags = [Counter(terms(passage)) for passage in passages]
    mean = sum(sum(bag.values()) for bag in bags) / len(bags)
    scores = []
    for bag in bags:
        score = 0.0
        for term in terms(query):
            holding = sum(term in other for other in bags)
            idf = math.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
            factor = 1.2 * (1 - 0.75 + 0.75 * sum(bag.values()) / max(mean, 1.0))
            score += idf * bag[term] * 2.2 / (bag[term] + factor)
        scores.append(score)
    return scores


@given(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=8))
def test_bm25_agrees_with_the_textbook(query: str, passages: list[str]) -> None:
    counted, bags = count_terms(query), [count_terms(passage) for passage in passages]
    holding = np.array([sum(key in bag.hashes for bag in bags) for key in counted.hashes], dtype=np.int64)
    idf = inverse_document_frequency(len(bags), holding)
    mean = sum(bag.length for bag in bags) / len(bags)
    assert bm25(counted, idf, bags, mean).tolist() == pytest.approx(slow_bm25(query, passages))
