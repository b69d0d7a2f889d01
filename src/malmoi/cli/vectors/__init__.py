"""`malmoi vectors`: one command for each thing that word vectors are good for; their modules are imported when called."""

from cyclopts import App

COMMANDS = (  # in the order in which a new user needs them: command, where it lives, what it does, its usage
    (
        "similar",
        "ask:similar",
        "The nearest words to a word, or to the middle of several.",
        "VECTORS WORD... [OPTIONS]",
    ),
    ("analogy", "ask:analogy", "Arithmetic with words: 왕 - 남자 + 여자.", "VECTORS EXPRESSION|A B C [OPTIONS]"),
    ("odd", "ask:odd", "The word that does not belong to the others.", "VECTORS WORD WORD WORD... [OPTIONS]"),
    (
        "eval",
        "evaluate:evaluate",
        "How well vectors agree with people, side by side.",
        "VECTORS... --sets SET [OPTIONS]",
    ),
    ("map", "map:draw_map", "A page that shows the words as points.", "VECTORS --html FILE [OPTIONS]"),
    ("convert", "convert:convert", "Vectors from one file form into another.", "IN OUT --to FORM [OPTIONS]"),
)


def _make_app() -> App:
    app = App(
        name="vectors",
        help="Word vectors at work: neighbours, analogies, evaluation, a map, files.",
        usage="Usage: malmoi vectors COMMAND ...",
        help_epilogue="VECTORS is a run of word2vec, glove or cooccurrence, or a file. Train some: malmoi train word2vec TEXT",
    )
    for place, (name, home, summary, usage) in enumerate(COMMANDS):
        app.command(
            f"malmoi.cli.vectors.{home}",
            name=name,
            help=summary,
            usage=f"Usage: malmoi vectors {name} {usage}",
            help_epilogue="",
            sort_key=place,
        )
    return app


app = _make_app()
