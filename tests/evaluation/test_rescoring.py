import json
import math

import numpy as np
import pytest
from bigram import Bigram, Words
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.evaluation import rescoring
from malmoi.evaluation.rescoring import Hypothesis, NBest, parse_nbest, read_nbest, rescore, score_lines
from malmoi.models.baselines import UniformModel

WORDS = Words(["우리", "집에", "간다"])


def by_hand(model: Bigram, line: str) -> float:
    ids = [*WORDS.encode(line), 3]
    pairs = zip([3, *ids[:-1]], ids, strict=True)
    return sum(model.table[before, after] for before, after in pairs) - WORDS.spelling_nats(line)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.sampled_from(["우리", "집에", "간다", "어디"]), max_size=9).map(" ".join), max_size=150))
def test_each_line_is_scored_as_if_it_were_alone(lines) -> None:
    model = Bigram.random(7)
    scores = list(score_lines(model, WORDS, lines))
    assert scores == pytest.approx([by_hand(model, line) for line in lines])
    assert scores == [next(score_lines(model, WORDS, [line])) for line in lines]


def test_a_giant_line_is_scored_window_by_window_and_finished_lines_drop_off() -> None:
    model = Bigram.random(7)
    lines = ["우리", "우리 집에 간다 " * 200, "간다 " * 300]
    assert list(score_lines(model, WORDS, lines)) == pytest.approx([by_hand(model, line) for line in lines])
    assert model.shapes == [(3, 256), (2, 256), (1, 89)]  # 601, 301 and 2 tokens


def test_line_ends_of_a_file_are_not_part_of_its_lines() -> None:
    model = Bigram.random(7)
    assert list(score_lines(model, WORDS, ["우리\n", "집에\r\n"])) == list(score_lines(model, WORDS, ["우리", "집에"]))


def test_lines_are_read_no_further_than_needed() -> None:
    endless = iter(lambda: "우리", None)
    scores = score_lines(UniformModel(7), WORDS, endless)
    assert [next(scores) for _ in range(rescoring.BATCH_LINES + 1)] == pytest.approx([-2 * math.log(7)] * 65)


def test_nan_is_refused() -> None:
    with pytest.raises(RunError, match="gave NaN"):
        list(score_lines(Bigram(np.full((7, 7), np.nan)), WORDS, ["우리"]))


# Uniform over 7 ids: a line of n words costs (n + 1) ln 7. Two words: -2 - 0.5 * 3 ln 7 + 1.5 * 2; one word:
# -1 - 0.5 * 2 ln 7 + 1.5. With ln 7 = 1.9459 that is -1.919 and -1.446: the shorter one wins, by less than before.
def test_scores_are_combined_and_sorted() -> None:
    nbest = NBest("u1", [Hypothesis("우리 집에", -2.0), Hypothesis("간다", -1.0)])
    (result,) = rescore(UniformModel(7), WORDS, [nbest], lm_weight=0.5, word_bonus=1.5)
    assert [row.text for row in result.hypotheses] == ["간다", "우리 집에"]
    assert [row.combined for row in result.hypotheses] == pytest.approx([0.5 - math.log(7), 1 - 1.5 * math.log(7)])
    assert [row.lm_log_prob for row in result.hypotheses] == pytest.approx([-2 * math.log(7), -3 * math.log(7)])


def test_many_lists_keep_their_hypotheses_apart() -> None:
    model = Bigram.random(7)
    lists = [NBest(str(i), [Hypothesis("우리 " * j, 0.0) for j in range(i % 4)]) for i in range(90)]
    for before, after in zip(lists, rescore(model, WORDS, lists), strict=True):
        assert after.key == before.key
        assert {row.text: row.lm_log_prob for row in after.hypotheses} == pytest.approx(
            {row.text: by_hand(model, row.text) for row in before.hypotheses}
        )


def test_a_weight_of_zero_leaves_the_first_scores() -> None:
    impossible = Bigram(np.eye(7))
    (result,) = rescore(impossible, WORDS, [NBest("a", [Hypothesis("우리", -1.0)])], lm_weight=0)
    assert result.hypotheses[0].combined == -1.0
    assert json.loads(result.to_json())["hypotheses"][0]["lm_log_prob"] is None


def test_weights_are_finite() -> None:
    with pytest.raises(ConfigError, match=r"lm_weight=inf and word_bonus=0\.0 cannot.*Finite numbers were expected"):
        rescore(UniformModel(7), WORDS, [], lm_weight=math.inf)


JSON_LINES = """\ufeff{"id": "가", "hypotheses": [{"text": "우리 집에", "score": -1.5}, {"text": "집에", "score": 2}]}

{"key": 2, "hypotheses": []}
"""
TABLE = "가\t-1.5\t우리 집에\r\n가\t2\t집에\n나\t0\ta\tb\n가\t1\t간다\n"


def test_json_lines_and_tables_are_read(tmp_path) -> None:
    (tmp_path / "lists.jsonl").write_text(JSON_LINES, encoding="utf-8")
    (tmp_path / "lists.tsv").write_text(TABLE, encoding="utf-8", newline="")
    first = NBest("가", [Hypothesis("우리 집에", -1.5), Hypothesis("집에", 2.0)])
    assert list(read_nbest(tmp_path / "lists.jsonl")) == [first, NBest("2", [])]
    assert list(read_nbest(tmp_path / "lists.tsv")) == [
        first,
        NBest("나", [Hypothesis("a\tb", 0.0)]),
        NBest("가", [Hypothesis("간다", 1.0)]),  # the same id again, but not next to the first: another list
    ]


def test_results_are_written_as_they_are_read() -> None:
    (result, _) = rescore(UniformModel(7), WORDS, parse_nbest(JSON_LINES.encode().splitlines()))
    entry = json.loads(result.to_json())
    assert entry["id"] == "가"
    assert [row["text"] for row in entry["hypotheses"]] == ["집에", "우리 집에"]
    (again,) = parse_nbest(result.to_tsv().encode().splitlines())
    assert [row.text for row in again.hypotheses] == ["집에", "우리 집에"]
    assert [row.score for row in again.hypotheses] == [row.combined for row in result.hypotheses]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 1', r"n\.txt:2: expected \{\"id\": .*found '\{\"id\": 1' \(.*Correct the line"),
        (b'{"hypotheses": []}', r"'key' is missing"),
        (b'{"id": 1}', r"'hypotheses' is missing"),
        (b'{"id": 1, "hypotheses": [{"text": "a"}]}', r"'score' is missing"),
        (b'{"id": 1, "hypotheses": [{"text": 5, "score": 1}]}', r"text 5 is not a string"),
        (b'{"id": 1, "hypotheses": [{"text": "a", "score": NaN}]}', r"score nan is not a finite number"),
        (b'{"id": 1, "hypotheses": [{"text": "a", "score": true}]}', r"score True is not"),
        (b'{"id": 1, "hypotheses": [{"text": "a", "score": 1' + b"0" * 400 + b"}]}", r"too large"),
        (b'{"id": 1, "hypotheses": 7}', r"n\.txt:2"),
        (b"[1]", r"n\.txt:2"),
        (b"[" * 100_000, r"n\.txt:2"),
        (b"\xff", r"n\.txt:2: byte 1 of the line \(0xff\) is not UTF-8.*iconv"),
    ],
)
def test_broken_json_lines_are_named(line, reason) -> None:
    with pytest.raises(DataError, match=reason):
        list(parse_nbest([b'{"id": 0, "hypotheses": []}\n', line], name="n.txt"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a\t1", r"n\.txt:2: expected 'id <tab> score <tab> text', found 'a\\t1' \(.*Correct the line"),
        (b"a\tone\tb", r"n\.txt:2: .*could not convert"),
        (b"a\tinf\tb", r"n\.txt:2: .*score inf is not a finite number"),
        (b"a\t1\t\xea\xb0", r"n\.txt:2: byte 5 of the line \(0xea\)"),
    ],
)
def test_broken_tables_are_named(line, reason) -> None:
    with pytest.raises(DataError, match=reason):
        list(parse_nbest([b"a\t1\tb\n", line], name="n.txt"))


def test_files_without_lists_are_refused(tmp_path) -> None:
    (tmp_path / "empty.tsv").write_text("\n \n")
    with pytest.raises(DataError, match=r"empty\.tsv: there is no hypothesis.*N-best lists were expected: one JSON"):
        list(read_nbest(tmp_path / "empty.tsv"))
    with pytest.raises(DataError, match=r"none\.tsv: cannot be read \(No such file.*check its name"):
        list(read_nbest(tmp_path / "none.tsv"))
