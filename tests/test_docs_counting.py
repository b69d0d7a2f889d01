"""The pages about counting say what is so: their programs print what stands below them, their arithmetic comes out."""

import contextlib
import io
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from streams import Ids

from malmoi.models.ngram import NGramModel
from malmoi.models.ngram.estimate import estimate
from malmoi.models.ngram.smoothing import discounts_of
from malmoi.models.options.ngram import NGramConfig
from malmoi.models.registry import find_rung
from malmoi.store import Store
from malmoi.text.tokenizers import train_tokenizer
from malmoi.training.request import read_request

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DATA = Path(os.environ.get("MALMOI_DATA", ROOT.parent / "shared" / "data"))
LANGUAGES = ("en", "ko")
PROGRAM = re.compile(r"```python\n(.*?)```\s*```text\n(.*?)```", re.DOTALL)
NEVER_READ = {"en": "boy is spreading smiles", "ko": "소년이 학교에서 책을 읽는다"}
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEAR = 5.1e-5  # the pages have four digits


def page_text(page: str, language: str) -> str:
    return (DOCS / language / f"{page}.md").read_text(encoding="utf-8")


def tables(page: str, language: str) -> list[list[list[str]]]:
    """The tables of a page, heading first, without back-quotes."""
    found: list[list[list[str]]] = [[]]
    for line in page_text(page, language).splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip(" `") for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[rows[0], *rows[2:]] for rows in found if rows]


def table(language: str, *heading: str) -> list[list[str]]:
    """The rows of the only table of the n-gram page whose heading goes on like this after its first cell."""
    (rows,) = [rows[1:] for rows in tables("ngram", language) if tuple(rows[0][1 : 1 + len(heading)]) == heading]
    return rows


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", ["one-hot", "ngram"])
def test_every_program_prints_what_stands_below_it(page: str, language: str) -> None:
    names: dict[str, Any] = {}
    found = PROGRAM.findall(page_text(page, language))
    assert found
    for program, expected in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, names)
        assert out.getvalue() == expected


class ByHand(NamedTuple):
    """A text of a few lines and modified Kneser-Ney of order 2 on it, in fractions."""

    lines: list[str]
    pairs: Counter[tuple[str, str]]  # c(h w)
    before: Counter[str]  # how many different words stand before a word
    discounts: dict[int, tuple[Fraction, ...]]  # of each length, as they are used

    @property
    def words(self) -> list[str]:
        return [*self.before, UNKNOWN]

    def prob(self, word: str) -> Fraction:
        taken = sum(self.discounts[1][min(count, 3) - 1] for count in self.before.values())
        share = self.before[word] - self.discounts[1][min(self.before[word], 3) - 1] if self.before[word] else 0
        return (share + taken / len(self.words)) / sum(self.before.values())

    def total(self, context: str) -> int:
        return sum(count for (h, _), count in self.pairs.items() if h == context)

    def weight(self, context: str) -> Fraction:
        counts = [count for (h, _), count in self.pairs.items() if h == context]
        return Fraction(sum(self.discounts[2][min(count, 3) - 1] for count in counts)) / sum(counts)

    def prob_after(self, context: str, word: str) -> Fraction:
        count = self.pairs[context, word]
        share = count - self.discounts[2][min(count, 3) - 1] if count else 0
        return Fraction(share) / self.total(context) + self.weight(context) * self.prob(word)


def counts_of_counts(counts: Counter[Any]) -> list[int]:
    of = Counter(counts.values())
    return [of[i] for i in range(1, 5)]


def formula(n1: int, n2: int, n3: int, n4: int) -> tuple[Fraction, tuple[Fraction, ...]]:
    """y, and D1 to D3 as the formulas give them."""
    y = Fraction(n1, n1 + 2 * n2)
    return y, (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def by_hand(language: str) -> ByHand:
    first = re.search(r"```text\n(.*?)```", page_text("ngram", language), re.DOTALL)
    assert first is not None
    lines = first[1].splitlines()
    sentences = [[BEGIN, *line.split(), END] for line in lines]
    pairs = Counter(pair for words in sentences for pair in pairwise(words))
    before = Counter(word for _, word in pairs)
    discounts = {}
    for n, counts in ((1, before), (2, pairs)):
        y, found = formula(*counts_of_counts(counts))
        discounts[n] = found if all(0 < d <= i for i, d in enumerate(found, start=1)) else (y, y, y)
    return ByHand(lines, pairs, before, discounts)


class Learned(Ids):
    """What malmoi makes of the same lines."""

    def __init__(self, lines: list[str], order: int, **options: Any) -> None:
        self.tokenizer = train_tokenizer("word", lines, min_count=1)
        super().__init__(np.concatenate([[*self.tokenizer.encode(line), self.tokenizer.eos_id] for line in lines]))
        config = NGramConfig.parse({"vocab_size": self.tokenizer.vocab_size, "order": order, **options})
        self.found = estimate(
            self, config, Store(), memory=1_000_000, n_threads=1, special_ids=self.tokenizer.special_ids
        )
        self.model = NGramModel(self.found.tables, self.tokenizer.bos_id, self.tokenizer.eos_id)

    def number(self, word: str) -> int:
        return {END: self.tokenizer.eos_id, UNKNOWN: 1}.get(word) or int(self.tokenizer.encode(word)[0])

    def after(self, context: str, word: str) -> float:
        """P(word | context), the context being `<s>` or one word in the middle of a sentence."""
        ids = [[] if context == BEGIN else [self.number(context)]]
        log_probs, _ = self.model.step(np.array(ids, np.int64), self.model.start())
        assert np.exp(log_probs.astype(np.float64)).sum() == pytest.approx(1, abs=1e-6)
        return math.exp(log_probs[0, self.number(word)])


def test_the_sentence_is_not_in_the_text(language: str, by_hand: ByHand) -> None:
    assert NEVER_READ[language] not in by_hand.lines
    assert f"`{NEVER_READ[language]}`" in page_text("ngram", language)
    sentences = [[BEGIN, *line.split(), END] for line in by_hand.lines]
    words = [BEGIN, *NEVER_READ[language].split(), END]

    def count(gram: list[str]) -> int:
        return sum(s[i : i + len(gram)] == gram for s in sentences for i in range(len(s)))

    for row in table(language, *words[1:]):
        order, product = int(row[0]), Fraction(1)
        for i in range(1, len(words)):
            context = words[max(0, i - order + 1) : i]
            seen, times = count([*context, words[i]]), sum(count([*context, w]) for w in by_hand.words)
            assert row[i] == f"{seen}/{times}"
            product *= Fraction(seen, times) if times else 0
        assert Fraction(row[-1]) == product


def test_the_methods_differ_as_the_table_says(language: str, by_hand: ByHand) -> None:
    (heading, *rows) = next(t for t in tables("ngram", language) if t[0][-1] == UNKNOWN and len(t[0]) == 4)
    context = NEVER_READ[language].split()[1]
    assert context in heading[0]
    told = [[float(cell) for cell in row[1:]] for row in rows]
    assert told[0] == [by_hand.pairs[context, word] / by_hand.total(context) for word in heading[1:]]
    methods: list[dict[str, Any]] = [
        {"smoothing": "add-k", "add_k": 1.0},
        {"smoothing": "add-k", "add_k": 0.01},
        {"smoothing": "witten-bell"},
        {"smoothing": "stupid-backoff"},
        {"smoothing": "kneser-ney"},
    ]
    for options, expected in zip(methods, told[1:], strict=True):
        learned = Learned(by_hand.lines, 2, **options)
        assert [learned.after(context, word) for word in heading[1:]] == pytest.approx(expected, abs=NEAR)

    size, total = len(by_hand.words), by_hand.total(context)
    words = Counter(word for line in by_hand.lines for word in [*line.split(), END])
    n_tokens, kinds = sum(words.values()), len(words)
    n_after = sum(h == context for h, _ in by_hand.pairs)
    scores = {w: words[w] / n_tokens if words[w] else 0.4 / size for w in by_hand.words}
    after = {w: by_hand.pairs[context, w] / total or 0.4 * scores[w] for w in by_hand.words}
    for place, word in enumerate(heading[1:]):
        count = by_hand.pairs[context, word]
        below = (words[word] + kinds / size) / (n_tokens + kinds)
        assert told[1][place] == pytest.approx((count + 1) / (total + size), abs=NEAR)
        assert told[2][place] == pytest.approx((count + 0.01) / (total + 0.01 * size), abs=NEAR)
        assert told[3][place] == pytest.approx((count + n_after * below) / (total + n_after), abs=NEAR)
        assert told[4][place] == pytest.approx(after[word] / sum(after.values()), abs=NEAR)
        assert told[5][place] == pytest.approx(float(by_hand.prob_after(context, word)), abs=NEAR)


def test_the_discounts_by_hand_are_right(language: str, by_hand: ByHand) -> None:
    learned = Learned(by_hand.lines, 2)
    for row in table(language, "n1", "n2"):
        n = int(row[0])
        counts = counts_of_counts(by_hand.pairs if n == 2 else by_hand.before)
        y, found = formula(*counts)
        assert [int(cell) for cell in row[1:5]] == counts
        assert [float(cell) for cell in row[5:]] == pytest.approx([float(value) for value in (y, *found)], abs=NEAR)
        used = tuple(map(float, by_hand.discounts[n]))
        assert discounts_of(np.array([0, *counts]), n)[0] == pytest.approx(used)
        assert learned.found.discounts[n - 1] == pytest.approx(used)


def test_the_probabilities_by_hand_come_out(language: str, by_hand: ByHand) -> None:
    learned, text = Learned(by_hand.lines, 2), page_text("ngram", language)
    (single,) = [rows[1:] for rows in tables("ngram", language) if len(rows[0]) == 3 and rows[-1][0] == UNKNOWN]
    named = [word for row in single for word in row[0].split(", ")]
    assert sorted(named) == sorted(by_hand.words)
    for words, before, prob in single:
        for word in words.split(", "):
            assert by_hand.before[word] == int(before)
            assert float(by_hand.prob(word)) == pytest.approx(float(prob), abs=NEAR)
            log_prob = learned.found.tables.log_probs[learned.number(word)]
            assert math.exp(log_prob) == pytest.approx(float(by_hand.prob(word)), rel=1e-5)

    pairs = table(language, "w", "c(h w)")
    for context, word, count, total, *numbers in pairs:
        weight, lower, prob = by_hand.weight(context), by_hand.prob(word), by_hand.prob_after(context, word)
        assert (int(count), int(total)) == (by_hand.pairs[context, word], by_hand.total(context))
        assert [float(n) for n in numbers] == pytest.approx([float(weight), float(lower), float(prob)], abs=NEAR)
        assert learned.after(context, word) == pytest.approx(float(prob), rel=1e-5)

    words = [BEGIN, *NEVER_READ[language].split(), END]
    steps = list(pairwise(words))
    assert [(h, w) for h, w, *_ in pairs[:-1]] == steps
    factors = [by_hand.prob_after(h, w) for h, w in steps]
    product = math.prod(factors)
    assert " · ".join(f"{float(factor):.4f}" for factor in factors) + f" = {float(product):.4f}" in text
    assert f"P^(-1/5) = {float(product) ** (-1 / len(steps)):.3f}" in text


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes" / "ngram").glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_are_accepted(recipe: Path) -> None:
    sorted_request = read_request({"recipe": str(recipe)})
    asked, model, training = sorted_request.request, sorted_request.model, sorted_request.training
    assert asked.rung == "ngram"
    find_rung("ngram").config.parse({"vocab_size": 9, **model})
    assert asked.text
    assert asked.test
    assert training.keys() <= {"max_disk"}


def test_the_figures_are_the_same_on_every_page() -> None:
    recipes = (ROOT / "recipes" / "ngram" / "README.md").read_text(encoding="utf-8")
    for rows in zip(*(tables("ngram", language)[-2:] for language in LANGUAGES), strict=True):
        english, korean = ([row[1:] for row in found[1:]] for found in rows)
        assert english == korean
        for row in english:
            assert " | ".join(row).replace("|  |", "| |") in recipes


def sentences_of(path: Path, column: int | None) -> Iterator[list[str]]:
    """The words of each line, or of one column of a table with a heading, between `<s>` and `</s>`."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file):
            if column is None or number:
                text = line.rstrip("\n")
                yield [BEGIN, *(text if column is None else text.split("\t")[column]).split(), END]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("language", "train", "test", "column"),
    [
        ("en", "ptb/ptb.train.txt", "ptb/ptb.test.txt", None),
        ("ko", "nsmc/ratings_train.txt", "nsmc/ratings_test.txt", 1),
    ],
)
def test_what_is_said_about_real_texts_is_so(language: str, train: str, test: str, column: int | None) -> None:
    text = page_text("ngram", language)
    words: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()
    for sentence in sentences_of(DATA / train, column):
        words.update(sentence[1:])
        pairs.update(pairwise(sentence))
    before = Counter(word for _, word in pairs)
    n_tokens = sum(words.values())
    (rows,) = [rows for rows in tables("ngram", language) if rows[0][1] == "c(w)"]
    assert f"{n_tokens:,}" in rows[0][2]
    assert f"{len(pairs):,}" in rows[0][4]
    has_unknown = UNKNOWN in words  # otherwise the vocabulary has one word more
    _, discounts = formula(*counts_of_counts(before))
    left = sum(discounts[min(count, 3) - 1] for count in before.values())
    for word, count, share, n_before, share_before in rows[1:]:
        assert (words[word], before[word]) == (int(count), int(n_before))
        assert words[word] / n_tokens == pytest.approx(float(share), abs=5.1e-7)
        assert before[word] / len(pairs) == pytest.approx(float(share_before), abs=5.1e-8)
        taken = discounts[min(before[word], 3) - 1]
        prob = float((before[word] - taken + left / (len(words) + (not has_unknown))) / len(pairs))
        assert re.search(rf"P\({word}\)[^0-9]* {prob:.7f}", text), prob

    (shares,) = [rows[1:] for rows in tables("ngram", language) if rows[0][1] == "n = 1"]
    told = shares[LANGUAGES.index(language)]
    tests = list(sentences_of(DATA / test, column))
    singles = [word for sentence in tests for word in sentence[1:]]
    doubles = [pair for sentence in tests for pair in pairwise(sentence)]
    assert told[1] == f"{100 * sum(word in words for word in singles) / len(singles):.1f} %"
    assert told[2] == f"{100 * sum(pair in pairs for pair in doubles) / len(doubles):.1f} %"
