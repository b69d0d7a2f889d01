"""`malmoi vectors map`: words as points on a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from malmoi.cli.console import emit, note, print_facts, size
from malmoi.cli.options import Json
from malmoi.errors import DataError
from malmoi.pages.language import Language

VECTORS = Parameter(name="VECTORS", help="A run of word2vec, glove or cooccurrence, or a file of vectors.")
MANY = 5000  # words, from which t-SNE takes long
MOST_LIST = 1 << 24  # bytes of a file with words


def draw_map(
    vectors: Annotated[str, VECTORS],
    /,
    *,
    html: Annotated[str, Parameter(help="Where the page goes: one file that needs no network.")],
    method: Annotated[
        str | None, Parameter(help="pca, tsne or umap; left out, tsne where scikit-learn is installed, else pca.")
    ] = None,
    top: Annotated[
        int | None, Parameter(help="So many of the most frequent words; 2000 if no words are named.")
    ] = None,
    words: Annotated[str | None, Parameter(help="A file with words, one or more a line.")] = None,
    word: Annotated[
        list[str] | None,
        Parameter(negative=(), help="This word; may be given several times, and with --words and --top."),
    ] = None,
    analogy: Annotated[
        list[str] | None,
        Parameter(
            negative=(),
            help='Two arrows: "man king woman queen" is man to king as woman to queen; without the fourth word it is '
            "looked for. May be given several times.",
        ),
    ] = None,
    seed: Annotated[int, Parameter(help="Another seed, another map; the same seed, the same map.")] = 0,
    language: Annotated[Language, Parameter(name="--lang", help="Language of the page.")] = "en",
    json: Json = False,
) -> None:
    from malmoi.api import load_vectors
    from malmoi.vectors.map import draw, write_page
    from malmoi.vectors.projection import TITLES, available_method

    if method is None:
        method = available_method()
        why = " (for t-SNE: pip install 'malmoi[map]')" if method == "pca" else ""
        note(f"Drawing by {TITLES[method]}{why}.")
    asked = None if words is None and word is None else [*(read_words(Path(words)) if words else ()), *(word or ())]
    known = load_vectors(vectors)
    if method == "tsne" and min(max(top or 0, len(asked or ())), len(known)) > MANY:
        note("t-SNE of so many words takes minutes; --method pca takes seconds.")
    found = draw(
        known, top=top, words=asked, method=method, seed=seed, analogies=analogy or (), name=Path(vectors).name
    )
    if found.missing:
        told = [
            f"{word} (did you mean {near[0]}?)" if (near := known.near_spellings(word, 1)) else word
            for word in found.missing[:5]
        ]
        more = " …" * (len(found.missing) > 5)
        note(f"Without a vector, and left out: {', '.join(told)}{more} ({len(found.missing):,} in all).")
    write_page(found, Path(html), language)
    if json:
        emit({**found.to_dict(), "html": html})
        return
    facts = [("words", f"{len(found.words):,} of {found.n_known:,}"), ("method", TITLES[found.projection.method])]
    if found.projection.seed is not None:
        facts.append(("seed", str(found.projection.seed)))
    if found.projection.variance is not None:
        facts.append(("share of the variance", f"{found.projection.variance:.1%}"))
    if found.trust is not None:
        facts.append(("trustworthiness", f"{found.trust.trustworthiness:.3f}"))
        facts.append((f"of {found.trust.k} nearest, kept", f"{found.trust.kept * found.trust.k:.1f}"))
    for four in found.analogies:
        a, b, c, d = (found.words[i] for i in four.words)
        facts.append((f"{a} : {b}", f"{c} : {d}" + " (found)" * four.is_found))
    print_facts([*facts, ("page", f"{html} ({size(Path(html).stat().st_size)})")])


def read_words(path: Path) -> list[str]:
    """The words of a text file, with white space between them.

    Raises:
        DataError: If the file is missing, too large, not UTF-8, or empty.
    """
    try:
        if path.stat().st_size > MOST_LIST:
            raise DataError(f"{path} has more than {MOST_LIST:,} bytes. Expected a list of words. Give a shorter file.")
        found = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        told = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise DataError(f"{path} cannot be read ({told}). Expected a text file with words. Check its name.") from None
    if not found:
        raise DataError(f"{path} is empty. Expected one word or more. Write some into it.")
    return found
