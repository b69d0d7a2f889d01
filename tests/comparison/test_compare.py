"""Whole comparisons of tiny models: figures that can be checked, failures that cost nothing else, stops that lose nothing."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import COMMON, Listener, quickly, sentences

import malmoi
from malmoi.arrays import read_arrays
from malmoi.comparison import compare as module
from malmoi.comparison import ground
from malmoi.comparison.compare import ComparisonStopped, check_report, compare
from malmoi.comparison.comparison import Comparison
from malmoi.comparison.prompts import choose_prompt
from malmoi.data.tokens import encode_to_disk
from malmoi.errors import ConfigError, DataError, RunError, TrainingError
from malmoi.evaluation.perplexity import evaluate
from malmoi.text.sources import TextSource
from malmoi.training import pipeline

RUNGS = ("uniform", "unigram", "ngram", "lstm", "ngram+lstm")


@pytest.fixture(scope="module")
def found(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return quickly(corpus, RUNGS, out=tmp_path_factory.mktemp("runs") / "all", seed=3)


def test_every_figure_is_that_of_eval(found: Comparison) -> None:
    for name in ("ngram", "lstm"):
        run = malmoi.load(found.folder / name)
        result = run.evaluate(found.folder / "texts" / "test.txt")
        assert found.model(name).bits_per_byte == pytest.approx(result.bits_per_byte, rel=1e-9)
        assert found.model(name).evaluation.perplexity == pytest.approx(result.perplexity, rel=1e-9)
        assert found.model(name).run == str(found.folder / name)
    tokenizer = malmoi.load(found.folder / "lstm").tokenizer
    assert found.model("uniform").evaluation.perplexity == pytest.approx(tokenizer.vocab_size)


def test_all_models_read_the_same_bytes_with_the_same_tokenizer(found: Comparison) -> None:
    assert [model.name for model in found.models] == list(RUNGS)
    assert {model.evaluation.bytes for model in found.models} == {found.sizes["test"].bytes}
    assert {model.tokenizer_id for model in found.models} == {found.models[0].tokenizer_id}
    assert {model.streams for model in found.models} == {1}
    assert found.is_complete


def test_costs_of_lines_add_up_to_the_whole(found: Comparison) -> None:
    for model in found.models:
        name = model.name.replace("+", "%2b")
        nats = read_arrays(found.folder / "results" / f"{name}.safetensors")["word_nats"]
        assert nats.sum() == pytest.approx(model.evaluation.nll_nats + model.evaluation.spelling_nats)
        assert len(nats) == model.evaluation.words + model.evaluation.lines


def test_breakdowns_add_up_to_the_whole(found: Comparison) -> None:
    for breakdown in (found.by_frequency, found.by_position):
        n_bytes = [bucket.n_bytes for bucket in breakdown.buckets]
        assert sum(n_bytes) == found.sizes["test"].bytes
        for model in found.models:
            rates = breakdown.bits_per_byte[model.name]
            bits = sum(rate * size for rate, size in zip(rates, n_bytes, strict=True) if rate is not None)
            assert bits / sum(n_bytes) == pytest.approx(model.bits_per_byte)


def test_a_mixture_is_tuned_on_the_validation_text(found: Comparison) -> None:
    mixture, members = found.model("ngram+lstm"), [found.model("ngram"), found.model("lstm")]
    assert sum(mixture.weights) == pytest.approx(1)
    assert mixture.members == ("ngram", "lstm")
    assert mixture.parameters == sum(member.parameters for member in members) + 2
    assert max(m.disk_bytes for m in members) < mixture.disk_bytes < sum(m.disk_bytes for m in members)
    from malmoi.models.combined import Interpolated

    runs = [malmoi.load(found.folder / member.name) for member in members]
    mixed = Interpolated([run.model for run in runs], np.array(mixture.weights))
    valid = encode_to_disk(TextSource(found.folder / "texts" / "valid.txt"), runs[0].tokenizer)
    best = min(evaluate(run.model, run.tokenizer, valid).nll_nats for run in runs)
    assert evaluate(mixed, runs[0].tokenizer, valid).nll_nats <= best + 1e-3
    test = encode_to_disk(TextSource(found.folder / "texts" / "test.txt"), runs[0].tokenizer)
    assert evaluate(mixed, runs[0].tokenizer, test).bits_per_byte == pytest.approx(mixture.bits_per_byte)


def test_costs_besides_bits_are_measured(found: Comparison) -> None:
    for model in found.models:
        assert model.ms_per_token > 0
        assert model.tokens_per_second > 0
        assert model.memory_bytes is None
        assert model.disk_bytes > 0
        assert model.seconds > 0
    lstm = found.model("lstm")
    sizes = [(Path(lstm.run or "") / name).stat().st_size for name in ("model.safetensors", "tokenizer.json")]
    assert lstm.disk_bytes == sum(sizes)
    assert len(lstm.curve) == 6  # one evaluation after each of six updates
    assert [len(found.model(name).curve) for name in ("uniform", "unigram", "ngram", "ngram+lstm")] == [0, 1, 1, 0]


def test_memory_is_that_of_a_process_of_its_own(found: Comparison) -> None:
    from malmoi.comparison.costs import peak_memory

    memory = peak_memory([found.folder / "ngram"], found.folder / "texts" / "test.txt")
    assert memory is None or 20e6 < memory < 4e9
    assert peak_memory([found.folder / "texts"], found.folder / "texts" / "test.txt") is None  # no run


def test_differences_agree_with_the_figures(found: Comparison) -> None:
    assert [model.name for model in found.models if not model.is_judged] == ["lstm", "ngram+lstm"]  # of so few steps
    assert len(found.differences) == 3
    for d in found.differences:
        gap = found.models[d.first].bits_per_byte - found.models[d.second].bits_per_byte
        assert d.bits_per_byte == pytest.approx(gap)
    there, back = found.difference("uniform", "ngram"), found.difference("ngram", "uniform")
    assert there is not None
    assert back is not None
    assert there.is_real
    assert (there.bits_per_byte, there.low, there.high) == (-back.bits_per_byte, -back.high, -back.low)
    assert found.difference("ngram", "ngram") is None
    with pytest.raises(ConfigError, match="no model 'gpt' in this comparison. Expected one of uniform, unigram"):
        found.model("gpt")


def test_lines_where_one_model_beats_another(found: Comparison) -> None:
    texts = (found.folder / "texts" / "test.txt").read_text(encoding="utf-8").splitlines()
    lines = found.contrasts["ngram", "uniform"]
    assert lines
    assert [line.gain for line in lines] == sorted((line.gain for line in lines), reverse=True)
    for line in lines:
        assert "".join(word for word, _, _ in line.words) == texts[line.line]
        assert line.bits[0] == pytest.approx(sum(first for _, first, _ in line.words))
        assert line.gain == pytest.approx(line.bits[1] - line.bits[0])
    gains = []
    for text in texts:
        scores = [next(malmoi.load(found.folder / name).score([text])) for name in ("ngram", "lstm")]
        gains.append((scores[0] - scores[1]) / math.log(2))
    assert found.contrasts["ngram", "lstm"][0].gain == pytest.approx(max(gains), rel=0.2)  # eval carries the state over


def test_the_same_beginning_is_continued_by_each(found: Comparison) -> None:
    test = (found.folder / "texts" / "test.txt").read_text(encoding="utf-8")
    assert f"{found.prompt} {found.goes_on}\n" in test
    assert all(model.sample for model in found.models)
    run = malmoi.load(found.folder / "lstm")
    again = run.generate(found.prompt, max_tokens=20, temperature=0.8, top_p=0.95, seed=3)
    assert again == [found.model("lstm").sample]


def test_the_json_is_whole(found: Comparison) -> None:
    told = json.loads((found.folder / "comparison.json").read_text(encoding="utf-8"))
    assert [model["name"] for model in told["models"]] == list(RUNGS)
    assert told["models"][3]["bits_per_byte"] == found.model("lstm").bits_per_byte
    assert told["bootstrap"] == {"blocks": found.n_blocks, "drawn": "stretches", "resamples": 10_000}
    assert {"first", "second", "low", "high", "p", "p_adjusted", "verdict", "is_real"} <= told["differences"][0].keys()
    assert told["overlap"]["lines"] == found.overlap.lines


def test_a_second_call_goes_on_with_what_is_missing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quickly(corpus, ["unigram", "lstm"], out=tmp_path / "c")
    trained: list[str] = []
    train = pipeline.train

    def counted(request: Any, reporter: Any = None) -> Path:
        trained.append(request["rung"])
        return train(request, reporter)

    monkeypatch.setattr(pipeline, "train", counted)
    second = quickly(corpus, ["unigram", "rnn", "lstm"], out=tmp_path / "c")
    assert trained == ["rnn"]
    assert second.model("lstm") == first.model("lstm")
    for line in json.loads((tmp_path / "c" / "comparison.json").read_text())["models"]:
        assert line["bits_per_byte"] > 0


def test_another_question_needs_another_folder(corpus: Path, tmp_path: Path) -> None:
    quickly(corpus, ["unigram"], out=tmp_path / "c")
    with pytest.raises(
        RunError, match="holds a comparison with seed=0 instead of 1, steps=6 instead of 7.*another --out"
    ):
        quickly(corpus, ["unigram"], out=tmp_path / "c", steps=7, seed=1)
    with pytest.raises(RunError, match="holds a comparison with another text text"):
        quickly(TextSource.from_texts(sentences(90)), ["unigram"], out=tmp_path / "c")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="exists already and holds no comparison; nothing in it was changed"):
        quickly(corpus, ["unigram"], out=tmp_path / "mine")
    (tmp_path / "c" / "question.json").write_text("[")
    with pytest.raises(RunError, match="a question that cannot be read"):
        quickly(corpus, ["unigram"], out=tmp_path / "c")


def test_the_default_folder_is_that_of_the_same_question(corpus: Path, in_folder: Path) -> None:
    folders = [quickly(corpus, ["unigram"], seed=seed).folder for seed in (0, 1, 0)]
    assert folders == [Path("runs/compare-animals"), Path("runs/compare-animals-2"), Path("runs/compare-animals")]


def test_a_damaged_result_is_told(corpus: Path, tmp_path: Path) -> None:
    quickly(corpus, ["unigram"], out=tmp_path / "c")
    (tmp_path / "c" / "results" / "unigram.json").write_text('{"name": "unigram"}')
    with pytest.raises(
        TrainingError, match=r"unigram.json cannot be used.*Remove this file, and unigram is measured again"
    ):
        quickly(corpus, ["unigram"], out=tmp_path / "c")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TrainingError("The loss stopped being a number."), "The loss stopped being a number."),
        (MemoryError(), "memory ran out"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (BaseException("a panic"), "BaseException: a panic"),
    ],
)
def test_a_rung_that_fails_does_not_lose_the_others(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: str
) -> None:
    train = pipeline.train

    def failing(request: Any, reporter: Any = None) -> Path:
        if request["rung"] == "rnn":
            raise error
        return train(request, reporter)

    monkeypatch.setattr(pipeline, "train", failing)
    listener = Listener()
    found = quickly(corpus, ["rnn", "unigram", "ngram", "ngram+unigram"], out=tmp_path / "c", reporter=listener)
    assert [model.name for model in found.models] == ["unigram", "ngram", "ngram+unigram"]
    assert [(failure.name, failure.reason) for failure in found.failures] == [("rnn", told)]
    assert f"[1/4] rnn: failed. {told}" in listener.stages
    assert told in found.report.read_text(encoding="utf-8")
    assert type(error).__name__ in (tmp_path / "c" / "errors" / "rnn.txt").read_text(encoding="utf-8")
    monkeypatch.setattr(pipeline, "train", train)
    assert quickly(corpus, ["rnn", "unigram", "ngram"], out=tmp_path / "c").is_complete  # it is tried again


def test_a_mixture_with_a_failed_member_fails_alone(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(request: Any, reporter: Any = None) -> Path:
        raise MemoryError

    monkeypatch.setattr(pipeline, "train", failing)
    found = quickly(corpus, ["unigram", "ngram", "unigram+ngram"], out=tmp_path / "c")
    assert [failure.reason for failure in found.failures] == [
        "memory ran out",
        "unigram+ngram mixes ngram, which is not there.",
    ]


def test_where_all_fail_one_message_says_so(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(request: Any, reporter: Any = None) -> Path:
        raise MemoryError

    monkeypatch.setattr(pipeline, "train", failing)
    with pytest.raises(
        TrainingError, match="None of the rungs could be measured.*rnn: memory ran out gru: memory ran out"
    ):
        quickly(corpus, ["rnn", "gru"], out=tmp_path / "c")


def test_ctrl_c_keeps_what_is_finished_and_the_same_call_goes_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = pipeline.train

    def stopped(request: Any, reporter: Any = None) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", stopped)
    with pytest.raises(ComparisonStopped, match="Stopped before anything was finished") as nothing:
        quickly(corpus, ["lstm", "unigram", "ngram"], out=tmp_path / "c")
    assert nothing.value.comparison is None
    with pytest.raises(
        ComparisonStopped, match="Finished are: unigram. Their report is .*report.html. The same"
    ) as stop:
        quickly(corpus, ["unigram", "lstm", "ngram"], out=tmp_path / "c")
    assert stop.value.comparison is not None
    assert stop.value.comparison.report.is_file()
    monkeypatch.setattr(pipeline, "train", train)
    found = quickly(corpus, ["unigram", "lstm", "ngram"], out=tmp_path / "c")
    assert len(found.models) == 3


def test_a_run_that_was_begun_is_resumed_and_a_broken_one_made_anew(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from malmoi.training.loop import Trainer
    from malmoi.training.progress import Interrupted

    update, updates = Trainer._update, [0]

    def stopping(self: Trainer) -> None:
        update(self)
        updates[0] += 1
        if updates[0] == 3:
            self._save()
            raise Interrupted(str(self.folder))

    monkeypatch.setattr(Trainer, "_update", stopping)
    (tmp_path / "c").mkdir()
    with pytest.raises(ComparisonStopped):
        quickly(corpus, ["gru"], out=tmp_path / "c")
    assert (tmp_path / "c" / "gru" / "checkpoint").is_dir()
    found = quickly(corpus, ["gru"], out=tmp_path / "c")
    assert updates[0] == 6
    assert found.model("gru").bits_per_byte > 0
    (tmp_path / "c" / "rnn").mkdir()
    (tmp_path / "c" / "rnn" / "tokenizer.json").write_text("{")
    assert quickly(corpus, ["rnn"], out=tmp_path / "c").is_complete


def test_tokenizers_of_ones_own_compare_in_bits_per_byte(corpus: Path, tmp_path: Path) -> None:
    test = TextSource.from_texts([*sentences(30, seed=1), "처음 보는 말"])
    rungs = ["unigram", "unigram:word", "unigram:jamo", "unigram+unigram:word"]
    found = quickly(corpus, rungs, out=tmp_path / "c", test=test)
    assert [model.tokenizer for model in found.models] == ["char", "word", "jamo"]
    assert len(found.differences) == 3
    assert found.model("unigram:word").evaluation.spelling_nats > 0
    assert "different tokens" in found.failures[0].reason
    assert "their perplexities do not compare" in found.report.read_text(encoding="utf-8")


def test_documents_are_held_out_and_drawn_whole(tmp_path: Path) -> None:
    lines = sentences(1500)
    texts = ["\n".join(lines[i : i + 3]) for i in range(0, len(lines), 3)]
    source = TextSource.from_texts(texts, unit="documents")
    found = quickly(source, ["unigram", "ngram"], out=tmp_path / "c")
    assert found.drawn == "documents"
    assert found.n_blocks == found.sizes["test"].documents
    run = malmoi.load(tmp_path / "c" / "ngram")
    test = TextSource(tmp_path / "c" / "texts" / "test.jsonl", unit="documents")
    assert found.model("ngram").bits_per_byte == pytest.approx(run.evaluate(test).bits_per_byte)
    assert "documents" in found.report.read_text(encoding="utf-8")


def test_a_run_that_exists_is_measured_as_it_is(corpus: Path, tmp_path: Path, found: Comparison) -> None:
    run = found.folder / "ngram"
    again = quickly(corpus, ["unigram", run], out=tmp_path / "c", seed=3)
    assert again.models[1].bits_per_byte == pytest.approx(found.model("ngram").bits_per_byte)
    assert again.models[1].family == "ngram"
    seen = again.models[1].read_before
    assert seen is not None
    assert (seen.text, seen.is_high) == ("parts", False)  # the same text, cut in the same way
    assert "trained before" not in again.report.read_text(encoding="utf-8")


def distinct(n: int, begin: int = 0) -> list[str]:
    """Lines of which no two share a run of words."""
    return [" ".join(f"낱말{(begin + i) * 9 + k}" for k in range(9)) for i in range(n)]


@pytest.mark.parametrize("how", ["same text", "same text, test given", "copy", "other text", "gone"])
def test_a_run_is_not_believed_on_text_that_it_has_read(how: str, tmp_path: Path) -> None:
    text, other, test = tmp_path / "text.txt", tmp_path / "other.txt", tmp_path / "test.txt"
    text.write_text("\n".join(distinct(900)) + "\n", encoding="utf-8")
    other.write_text("\n".join(distinct(300, 900) + (distinct(900) if how == "copy" else [])) + "\n", encoding="utf-8")
    test.write_text("\n".join(distinct(80, 2000)) + "\n", encoding="utf-8")
    read = text if how.startswith("same text") else other
    run = malmoi.train("ngram", read, out=tmp_path / "mine", tokenizer="char", order=3).folder
    if how == "gone":
        other.unlink()
    options: dict[str, Any] = {"test": test} if how.endswith("given") else {}
    found = quickly(text, ["unigram", "ngram", run], out=tmp_path / "c", **options)
    report = found.report.read_text(encoding="utf-8")
    if how == "same text":
        assert [failure.name for failure in found.failures] == [str(run)]
        assert "was trained on this very text, so it has read the test part" in found.failures[0].reason
        return
    seen = found.model(str(run)).read_before
    assert seen is not None
    told = {"same text, test given": "parts", "gone": "unknown"}.get(how, "another text")
    assert (seen.text, seen.is_high) == (told, how == "copy")
    judged = {found.models[d.first].name for d in found.differences} | {
        found.models[d.second].name for d in found.differences
    }
    assert (str(run) in judged) == (how != "copy")
    assert {"unigram", "ngram"} <= judged
    assert ("its figures say how well it remembers" in report) == (how == "copy")
    assert ("nobody knows" in report) == (how == "gone")


def test_no_verdict_is_given_on_a_model_that_is_hardly_trained(tmp_path: Path) -> None:
    text = TextSource.from_texts(distinct(900))
    found = quickly(text, ["unigram", "ngram", "lstm"], out=tmp_path / "c", steps=20)
    assert found.model("lstm").hardly_trained == "20 updates were made, at least 100 were expected"
    assert {(d.first, d.second) for d in found.differences} == {(0, 1)}
    told = json.loads((found.folder / "comparison.json").read_text(encoding="utf-8"))
    assert told["models"][2]["hardly_trained"]
    again = quickly(text, ["unigram", "ngram", "lstm"], out=tmp_path / "c", steps=20)  # from what was kept
    assert again.model("lstm").hardly_trained == found.model("lstm").hardly_trained


def test_a_run_that_has_changed_is_measured_again_and_its_mixtures_too(
    corpus: Path, tmp_path: Path, found: Comparison
) -> None:
    run = tmp_path / "mine"
    shutil.copytree(found.folder / "ngram", run)
    names = ["unigram", run, f"unigram+{run}"]
    options: dict[str, Any] = {"out": tmp_path / "c", "tokenizer": None, "tokenizer_from": run}
    first = quickly(corpus, names, **options)
    malmoi.train(
        "ngram",
        found.folder / "texts" / "train.txt",
        order=1,
        tokenizer_from=found.folder / "lstm",
        out=tmp_path / "other",
    )
    shutil.copy(tmp_path / "other" / "model.safetensors", run)
    shutil.copy(tmp_path / "other" / "config.json", run)
    second = quickly(corpus, names, **options)
    assert second.models[0] == first.models[0]
    assert second.models[1].bits_per_byte > first.models[1].bits_per_byte + 0.1
    assert second.models[2].bits_per_byte > first.models[2].bits_per_byte + 0.1


def test_a_long_test_text_is_read_as_several_streams(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "LONG_TEXT", 100)
    found = quickly(corpus, ["gru"], out=tmp_path / "c")
    run = malmoi.load(tmp_path / "c" / "gru")
    result = run.evaluate(tmp_path / "c" / "texts" / "test.txt", streams=32, warm_up=256)
    assert found.models[0].streams == 32
    assert found.models[0].bits_per_byte == pytest.approx(result.bits_per_byte, rel=1e-6)
    assert "malmoi eval --streams 32" in found.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": ["lstn"]}, "Did you mean lstm?"),
        ({"budget": "3s", "steps": None}, "--budget 3s is no training time"),
        ({"budget": "1m"}, "--budget and --steps both say how long"),
        ({"hiden_size": 3}, "Unknown option 'hiden_size'"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_before_any_work(
    corpus: Path, in_folder: Path, options: dict[str, Any], message: str
) -> None:
    asked = {"rungs": ["unigram"], **COMMON, **options}
    with pytest.raises(ConfigError, match=message):
        compare(corpus, **asked)
    assert not (in_folder / "runs").exists()


def test_a_report_that_cannot_be_written_is_refused_before_training(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="Cannot write .*file/report.html.*name another place with --report"):
        quickly(corpus, ["unigram"], out=tmp_path / "c", report=tmp_path / "file" / "report.html")
    with pytest.raises(RunError, match="folder is a folder. Expected a file for the report, as .*folder/report.html"):
        quickly(corpus, ["unigram"], out=tmp_path / "c", report=tmp_path / "folder")
    assert not (tmp_path / "c").exists()
    check_report(tmp_path / "new" / "deep" / "report.html")
    assert not (tmp_path / "new" / "deep" / "report.html").exists()
    if os.geteuid():  # root may write anywhere
        (tmp_path / "folder").chmod(0o500)
        with pytest.raises(RunError, match="Cannot write"):
            check_report(tmp_path / "folder" / "report.html")


def test_a_text_too_short_to_compare_on_is_refused_and_another_may_take_its_place(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few to hold some back"):
        quickly(TextSource.from_texts(["하나", "둘"]), ["unigram"], out=tmp_path / "c")
    assert quickly(corpus, ["unigram"], out=tmp_path / "c").is_complete


def test_a_test_text_of_a_few_lines_gives_figures_without_verdicts(tmp_path: Path) -> None:
    texts = {name: TextSource.from_texts(["여기 오늘", "the cat"]) for name in ("valid", "test")}
    found = quickly(TextSource.from_texts(sentences(50)), ["unigram", "ngram"], out=tmp_path / "c", **texts)
    assert found.differences == ()
    assert "fewer than 20 blocks" in found.report.read_text(encoding="utf-8")


def test_prompts_are_chosen_from_usual_lines_in_the_middle() -> None:
    lines = ["one two", "a b c d e f g h i", "", "말 한 마디"]
    assert choose_prompt(lines) == ("a b c d", "e f g h i")
    assert choose_prompt(["짧은 줄", "하나"]) == ("짧은", "줄")
    assert choose_prompt([""]) == ("", "")


def test_a_prompt_of_ones_own_is_continued(corpus: Path, tmp_path: Path) -> None:
    found = quickly(corpus, ["ngram"], out=tmp_path / "c", prompt="the cat")
    assert (found.prompt, found.goes_on) == ("the cat", "")
    assert found.report.name == module.REPORT


def test_a_mixture_is_judged_as_its_members_are(tmp_path: Path) -> None:
    text = TextSource.from_texts(distinct(900))
    found = quickly(text, ["unigram", "ngram", "lstm", "ngram+lstm", "unigram+ngram"], out=tmp_path / "c", steps=20)
    judged = {model.name for model in found.models if model.is_judged}
    assert judged == {"unigram", "ngram", "unigram+ngram"}
    assert {found.models[d.first].name for d in found.differences} <= judged


def test_a_run_that_was_stopped_is_not_judged(corpus: Path, tmp_path: Path, found: Comparison) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(found.folder / "ngram", stopped)
    (stopped / "checkpoint").mkdir()
    (stopped / "checkpoint" / "progress.json").write_text("{}")
    again = quickly(corpus, ["unigram", stopped], out=tmp_path / "c", seed=3)
    assert again.models[1].hardly_trained == "its training was stopped before its end"
    assert again.differences == ()
