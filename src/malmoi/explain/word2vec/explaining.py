"""One update of word2vec at one place of a text, as training would do it with a run's weights and options.

    malmoi explain RUN "you say goodbye and i say hello" --step 3

The words around the place are found as in training, a window and the wrong words are drawn with a seed, and the update is
computed in float64 (`scratch/word2vec_update.py`). The loops that train compute it too, in float32, and so does, where it
can, the network of `scratch/word2vec.py`; the explanation says how far they are from it.

Shapes: H vectors h, D width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from malmoi.errors import ConfigError
from malmoi.explain.explaining import LIKELIEST
from malmoi.explain.explanation import Explanation, Numbers, Step, Unit
from malmoi.explain.question import AskedOfRun
from malmoi.explain.softmax import units
from malmoi.explain.word2vec.agreement import engine_difference, scratch_difference
from malmoi.explain.word2vec.reading import Reader, read_network
from malmoi.explain.word2vec.steps import Scene, backward_steps, forward_steps
from malmoi.explain.word2vec.window import Moment, Network, Word, find_moment
from malmoi.models.word2vec.sampling import keep_probabilities
from malmoi.pages.language import Language, Teller
from malmoi.scratch.word2vec_update import Answers, Update, UpdateTrace, Ways, answers_of_all, gather, vector_of


def explain_word2vec(asked: AskedOfRun) -> Explanation:
    """Explain one update of a run.

    Raises:
        ConfigError, DataError: As `explain_update`.
        RunError: If the run is damaged.
    """
    network = read_network(asked.folder, asked.config)
    text, words = Reader.of_run(asked.folder, asked.config, asked.tokenizer, network.words).read(asked.text)
    return explain_update(
        network,
        text,
        words,
        step=asked.step,
        learning_rate=asked.learning_rate,
        seed=asked.seed,
        language=asked.language,
    )


def explain_update(
    network: Network,
    text: str,
    words: Sequence[Word],
    *,
    step: int | str = "last",
    learning_rate: float | int | None = None,
    seed: int = 0,
    language: Language = "en",
) -> Explanation:
    """Explain one update.

    Args:
        network: The weights and options.
        text: In NFC.
        words: Its words, in order.
        step: Which of them is guessed: its number from 1, or "last".
        learning_rate: Of the update; None for the one that training began with.
        seed: Of the window and the wrong words that are drawn.
        language: Of titles, sentences and notes.

    Raises:
        ConfigError: If the text has no such word, or the rate or the seed cannot be used.
        DataError: If that word is unknown, or has no neighbour that is known.
    """
    rate = network.rate if learning_rate is None else float(learning_rate)
    if not 0 < rate < float("inf"):
        raise ConfigError(f"learning_rate={rate:g} cannot be used. A finite number above 0 was expected: try 0.025.")
    if seed < 0:
        raise ConfigError(f"seed={seed} cannot be used. A whole number of 0 or more was expected: try 0.")
    tell, config = Teller(language, "explanation"), network.config
    moment = find_moment(network, words, step, seed)
    update = gather(
        network.inputs,
        network.outputs,
        moment.parts,
        moment.asked,
        moment.right,
        is_softmax=config.objective == "softmax",
        divide=config.method == "cbow" and config.divide_gradient,
    )
    found = update.trace(rate)
    scene = _scene(network, moment, update, rate)
    ways = Ways(*network.tree) if config.objective == "hierarchical" else None
    answers = answers_of_all(network.outputs, found.before.hidden, config.objective, ways)
    best = np.argsort(-answers, kind="stable")[:LIKELIEST]
    target = moment.target.row
    return Explanation(
        text=text,
        family="word2vec",
        run=network.name,
        language=language,
        place=words.index(moment.target),
        target=moment.target.text,
        probability=float(answers[target]),
        steps=(
            *reading_steps(tell, network, words, moment, found.before, seed),
            *forward_steps(tell, scene, update, found),
            *backward_steps(tell, scene, update, found),
        ),
        surprisals={"question": _units(network, moment, found.before)},
        agreement=_agreement(tell, update, found, rate),
        likeliest=[(network.words[i], float(answers[i])) for i in best],
        notes=_notes(tell, network, words, moment),
        among="neighbours",
        is_distribution=config.objective != "negative",
        compares="rows",
        span=(moment.target.begin, moment.target.end),
    )


def _scene(network: Network, moment: Moment, update: Update, rate: float) -> Scene:
    """What everything that takes part is called, and how large it is."""
    pieces = network.piece_names(word.row for word in moment.read)
    names = dict(zip(moment.asked.tolist(), moment.asked_names, strict=True))
    return Scene(
        moment.target.text,
        moment.hidden,
        moment.asked_names,
        [network.words[i] if i < len(network.words) else pieces.get(i, str(i)) for i in update.input_ids.tolist()],
        [names[i] for i in update.output_ids.tolist()],
        len(network.inputs) + len(network.outputs),
        rate,
        network.config.objective,
    )


def _agreement(tell: Teller, update: Update, found: UpdateTrace, rate: float) -> dict[str, float]:
    """The largest difference of a moved number from what other engines move it to, by their names."""
    agreement = {tell("trainer"): engine_difference(update, found.moved, rate)}
    if (by_scratch := scratch_difference(update, found.gradients)) is not None:
        agreement["malmoi.scratch"] = rate * by_scratch
    return agreement


def reading_steps(
    tell: Teller, network: Network, words: Sequence[Word], moment: Moment, found: Answers, seed: int
) -> list[Step]:
    """The window, the rows that are read, their mean, and the wrong words."""
    config, width = network.config, found.hidden.shape[1]
    middle, around, read = words[moment.place], moment.around, moment.read
    line = [word for word in words if word.line == middle.line]
    keep = keep_probabilities(network.counts, config.subsample_threshold)
    involved = [middle, *around]
    names = [word.text for word in read]
    steps = [
        Step(
            "place",
            tell("w2v_place"),
            "w_{t−r} … w_{t−1} [w_t] w_{t+1} … w_{t+r}",
            f"r = {moment.reach} ≤ {config.window}",
            tell(
                "say_w2v_place",
                word=middle.text,
                window=config.window,
                reach=moment.reach,
                n_words=len(around),
                words=_listed(around),
            ),
            (
                Numbers("id", np.array([word.row for word in line]), ("time",), {0: [w.text for w in line]}, "plain"),
                Numbers(
                    "P_keep",
                    np.array([keep[word.row] for word in involved]),
                    ("token",),
                    {0: [word.text for word in involved]},
                    "probability",
                ),
            ),
        )
    ]
    formula, said = "W_in[w]", tell("say_w2v_rows", n_words=len(read), width=width)
    if network.pieces is not None:
        n_pieces = sum(len(network.pieces[word.row]) for word in read)
        formula, said = "(W_in[w] + Σ_p W_in[p]) / n_w", tell("say_w2v_pieces", n_words=len(read), n_rows=n_pieces)
    if config.method == "skip-gram":
        key = "say_w2v_one" if network.pieces is None else "say_w2v_each"
        said = f"{said} {tell(key, word=moment.target.text)}"
    vectors = np.stack([_vector(network, word.row) for word in read])
    steps.append(
        Step(
            "neighbours",
            tell("neighbours" if read is around else "one_word"),
            f"{'v' if config.method == 'cbow' else 'h'}_w = {formula}",
            f"({len(network.inputs)}, {width})[{sum(map(len, moment.parts))}] → ({len(read)}, {width})",
            said,
            (Numbers("v" if config.method == "cbow" else "h", vectors, ("context", "unit"), {0: names}),),
        )
    )
    if config.method == "cbow":
        steps.append(
            Step(
                "mean",
                tell("mean"),
                "h = (v_1 + … + v_C) / C" if network.pieces is None else "h = Σ_w n_w v_w / Σ_w n_w",
                f"({len(read)}, {width}) → (1, {width})",
                tell("say_w2v_mean", strongest=units(found.hidden[0]), word=moment.target.text),
                (Numbers("h", found.hidden[0], ("unit",)),),
            )
        )
    if config.objective == "negative":
        steps.append(_wrong_words(tell, network, moment, seed))
    elif config.objective == "hierarchical":
        steps.append(_way(tell, network, moment))
    return steps


def _way(tell: Teller, network: Network, moment: Moment) -> Step:
    """The inner nodes between the root and the right word."""
    count, n_nodes = int(network.counts[moment.target.row]), len(network.words) - 1
    return Step(
        "way",
        tell("w2v_way"),
        "P(w) = Π_yes σ(s_n) Π_no σ(−s_n)",
        f"({len(moment.asked)},)",
        tell("say_w2v_way", word=moment.target.text, n_on_way=len(moment.asked), n_nodes=n_nodes, count=count),
        (Numbers("y", moment.right, ("token",), {0: moment.asked_names}, "plain"),),
    )


def _wrong_words(tell: Teller, network: Network, moment: Moment, seed: int) -> Step:
    """The words that the right one is to be told from."""
    power, noise = network.config.noise_power, network.noise
    places = np.flatnonzero(moment.right == 0)
    wrong, names = moment.asked[places], [moment.asked_names[i] for i in places.tolist()]
    return Step(
        "wrong words",
        tell("w2v_wrong"),
        f"P_n(w) = count(w)^{{{power:g}}} / Σ_v count(v)^{{{power:g}}}",
        f"({len(noise)},)",
        tell(
            "say_w2v_wrong",
            n_wrong=network.config.n_negatives,
            power=f"{power:g}",
            seed=seed,
            words=", ".join(names) or "–",
        ),
        (
            Numbers("count(w)", network.counts[moment.asked], ("token",), {0: moment.asked_names}, "plain"),
            Numbers("P_n(w)", noise[wrong], ("token",), {0: names}, "probability"),
        ),
    )


def _vector(network: Network, row: int) -> Float64[np.ndarray, " D"]:
    return vector_of(network.inputs, np.array([row]) if network.pieces is None else network.pieces[row])


def _listed(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _units(network: Network, moment: Moment, found: Answers) -> list[Unit]:
    """What each neighbour's answers cost (skip-gram), or those about the word itself, or about each neighbour (fastText)."""
    if network.config.method == "skip-gram" and network.pieces is None:
        costs, asked = found.losses.sum(axis=1), [(word, word.text, moment.target.text) for word in moment.read]
    else:
        groups = (
            np.cumsum(moment.right).astype(int) - 1 if len(moment.targets) > 1 else np.zeros(len(moment.right), int)
        )
        costs = np.bincount(groups, found.losses[0])
        asked = [(word, moment.hidden[0], word.text) for word in moment.targets]
    units = [
        Unit(word.text, word.begin, word.end, float(cost), f"{reader} → {guessed}")
        for (word, reader, guessed), cost in zip(asked, costs, strict=True)
    ]
    return sorted(units, key=lambda unit: unit.begin)


def _notes(tell: Teller, network: Network, words: Sequence[Word], moment: Moment) -> list[str]:
    notes = []
    if n_unknown := sum(word.row < 0 for word in words):
        notes.append(tell("note_w2v_unknown", n=n_unknown))
    if network.config.subsample_threshold > 0:
        notes.append(tell("note_w2v_keep", threshold=f"{network.config.subsample_threshold:g}"))
    n_wrong = len(moment.targets) * network.config.n_negatives - int((moment.right == 0).sum())
    if network.config.objective == "negative" and n_wrong:
        notes.append(tell("note_w2v_hit", n=n_wrong))
    if network.config.keep != "input":
        notes.append(tell("note_w2v_saved"))
    return notes
