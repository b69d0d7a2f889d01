"""`malmoi demo`: the tour, told in English or Korean."""

import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from malmoi.cli.compare import SeveralRuns, print_ladder
from malmoi.cli.console import ConsoleReporter, emit, note, print_table
from malmoi.cli.options import Json
from malmoi.cli.use import print_next_words
from malmoi.demo import WHY, Corpus, Tour, corpus, run_tour, to_dict
from malmoi.pages.language import Language, Teller


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
    tell = Teller(lang, "demo")
    chosen = corpus(lang, text)
    with ConsoleReporter(lang, shows_stages=lang == "en") as reporter, SeveralRuns(lang) as second:
        _introduce(tell, chosen, text, budget)
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
            raise KeyboardInterrupt(tell("interrupted")) from None
    if json:
        emit(to_dict(tour))
    else:
        _show(tell, tour, Teller(lang, "comparison"))


def _introduce(tell: Teller, chosen: Corpus, text: str | None, budget: str) -> None:
    source = tell("sources") if text is None else tell("given", text=text)
    kilobytes = round(chosen.n_bytes / 1000)
    note(tell("corpus", text=source, train=len(chosen.train), test=len(chosen.test), kilobytes=kilobytes))
    note(tell("plan", budget="".join(tell(f"unit_{c}") if c in "smh" else c for c in budget)))
    note("")


def _show(tell: Teller, tour: Tour, tell_ladder: Teller) -> None:
    columns = tell("column_word"), tell("column_probability")
    if tour.speaker != "lstm":
        print(tell("better_speaker", model=tour.speaker))
    for context, words in tour.next_words.items():
        print()
        shown = [(word.text, word.probability) for word in words]
        print_next_words(shown, *columns, title=tell("next_title", context=context))
    print()
    print_table((tell("sample", model=tour.speaker),), [(line,) for line in f"{tour.prompt}{tour.sample}".split("\n")])
    print("\n" + tell("why", word=tour.explained, context=tour.prompt))
    for sentence in tour.explanation:
        print(f"  {sentence}")
    print(tell("page", path=tour.folder / WHY))
    print()
    print_ladder(tour.ladder, tell_ladder, title=tell("comparison"))
    share = tour.figures["lstm"].bits_per_byte / tour.figures["untrained"].bits_per_byte
    print(tell("explanation", share=share))
    print()
    print(tell("try_next", run=shlex.quote(str(tour.folder)), context=tour.prompt))
