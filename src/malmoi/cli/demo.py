"""`malmoi demo`: the tour, told in English or Korean."""

import shlex
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

from malmoi.cli.compare import SeveralRuns, print_ladder
from malmoi.cli.console import ENGLISH, KOREAN, ConsoleReporter, Words, emit, note, print_table
from malmoi.cli.options import Json
from malmoi.cli.use import print_next_words
from malmoi.demo import WHY, Corpus, Tour, corpus, run_tour, to_dict
from malmoi.pages.language import Language, Teller


class Script(NamedTuple):
    """What the tour says in one language."""

    progress: Words
    sources: str
    given: str
    corpus: str
    plan: str
    units: dict[str, str]  # of a budget
    comparison: str
    explanation: str
    next_title: str
    next_columns: tuple[str, str]
    sample: str
    why: str
    page: str
    try_next: str
    interrupted: str


IN_ENGLISH = Script(
    progress=ENGLISH,
    sources="the Python reference, which every Python brings along",
    given="your text {}",
    corpus="The text: {}. {:,} lines to learn from, {:,} held out for the test, {:,} kB in all.",
    plan="An LSTM language model reads it for {}. Then come predictions, a sample, and a small ladder that leads to it.",
    units={},
    comparison="What each idea buys, in bits per byte of the held-out text",
    explanation="Fewer bits are better: the lstm needs {:.0%} of what the untrained model (uniform) needs for the same text.",
    next_title="After “{}” comes",
    next_columns=("word", "probability"),
    sample="A sample",
    why="Why “{}” after “{}”?",
    page="All steps with all their numbers: {}",
    try_next="""Now type:
  malmoi next {run} "{context}"
  malmoi generate {run} --prompt "{context}" --temperature 0.7
  malmoi complete {run}
  malmoi explain {run} "{context}" --html why.html
and for a text of your own:
  malmoi train lstm YOUR.txt --budget 10m""",
    interrupted="Stopped. `malmoi demo` starts again from the beginning.",
)
IN_KOREAN = Script(
    progress=KOREAN,
    sources="이 컴퓨터의 프로그램들에 들어 있는 한국어 메시지",
    given="주신 글 {}",
    corpus="글: {}. 배울 글 {:,}줄, 시험용으로 떼어 둔 글 {:,}줄, 모두 {:,} kB.",
    plan="{} 동안 글을 토큰으로 나누고 LSTM 언어 모델이 읽게 합니다. 그다음 예측하고, 글을 짓고, 작은 사다리를 오릅니다.",
    units={"s": "초", "m": "분", "h": "시간"},
    comparison="생각 하나하나가 무엇을 벌어 주나 (떼어 둔 글 1바이트당 비트)",
    explanation="비트가 적을수록 좋습니다. lstm은 같은 글에 배우지 않은 모델(uniform)의 {:.0%}만 씁니다.",
    next_title="‘{}’ 다음에 올 말",
    next_columns=("낱말", "확률"),
    sample="지어 본 글",
    why="‘{1}’ 다음은 왜 ‘{0}’일까",
    page="모든 단계와 숫자: {}",
    try_next="""이제 이렇게 해 보세요:
  malmoi next {run} "{context}"
  malmoi generate {run} --prompt "{context}" --temperature 0.7
  malmoi complete {run}
  malmoi explain {run} "{context}" --lang ko --html why.html
가지고 있는 글로 해 보려면:
  malmoi train lstm 내글.txt --budget 10m""",
    interrupted="멈췄습니다. `malmoi demo --lang ko`를 치면 처음부터 다시 시작합니다.",
)
SCRIPTS: dict[Language, Script] = {"en": IN_ENGLISH, "ko": IN_KOREAN}


def demo(
    *,
    lang: Annotated[Language, Parameter(help="Language of the text and of the tour.")] = "en",
    text: Annotated[str | None, Parameter(help="A text to use instead of what is on this machine.")] = None,
    budget: Annotated[str, Parameter(help="Training time, as 90s or 5m.")] = "90s",
    out: Annotated[
        str | None,
        Parameter(help="The run folder; an earlier demo in it is replaced.", show_default="runs/demo-LANG"),
    ] = None,
    json: Json = False,
    started: Annotated[float, Parameter(parse=False)],
    command: Annotated[str, Parameter(parse=False)],
) -> None:
    script = SCRIPTS[lang]
    chosen = corpus(lang, text)
    with ConsoleReporter(script.progress, shows_stages=lang == "en") as reporter, SeveralRuns(lang) as second:
        _introduce(script, chosen, text, budget)
        folder = out or Path("runs") / f"demo-{lang}"
        options: dict[str, Any] = {
            "budget": budget,
            "out": folder,
            "command": command,
            "started": started,
            "lang": lang,
        }
        try:
            tour = run_tour(chosen, reporter=reporter, ladder_reporter=second, **options)
        except KeyboardInterrupt:
            reporter.finished()
            raise KeyboardInterrupt(script.interrupted) from None
    if json:
        emit(to_dict(tour))
    else:
        _show(script, tour, Teller(lang, "comparison"))


def _introduce(script: Script, chosen: Corpus, text: str | None, budget: str) -> None:
    source = script.sources if text is None else script.given.format(text)
    note(script.corpus.format(source, len(chosen.train), len(chosen.test), round(chosen.n_bytes / 1000)))
    note(script.plan.format("".join(script.units.get(c, c) for c in budget)))
    note("")


def _show(script: Script, tour: Tour, tell: Teller) -> None:
    for context, words in tour.next_words.items():
        print()
        shown = [(word.text, word.probability) for word in words]
        print_next_words(shown, *script.next_columns, title=script.next_title.format(context))
    print()
    print_table((script.sample,), [(line,) for line in f"{tour.prompt}{tour.sample}".split("\n")])
    print(f"\n{script.why.format(tour.explained, tour.prompt)}")
    for sentence in tour.explanation:
        print(f"  {sentence}")
    print(script.page.format(tour.folder / WHY))
    print()
    print_ladder(tour.ladder, tell, title=script.comparison)
    print(script.explanation.format(tour.figures["lstm"].bits_per_byte / tour.figures["untrained"].bits_per_byte))
    print()
    print(script.try_next.format(run=shlex.quote(str(tour.folder)), context=tour.prompt))
