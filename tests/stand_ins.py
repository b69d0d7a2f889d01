"""What stands in for the texts, sets, thesaurus and runs that the documentation speaks of: small ones, made here."""

import contextlib
import gzip
import itertools
import shutil
from pathlib import Path

import shell
from thesaurus.tiny_wordnet import Entry, write_wordnet

ROOT = Path(__file__).parents[1]
SENTENCES = """\
나는 어제 학교에 갔다
나는 안녕 이라고 말한다
오늘 점심은 정말 맛있다
옛날 옛적에 왕과 여왕이 살았다
이 영화는 정말 재미있다
배우 이름이 뭐였더라
그 배우 연기를 감독 작가 모두 칭찬했다
국민의 생명을 지키는 사람이 있다
청와대에 국민의 글이 왔다
여러분 안녕하세요 반갑습니다
배우들의 연기가 좋다
한국 서울 일본 도쿄 어디든 좋다
왕 남자 여자 여왕
얼음 증기 모두 물이다
you say goodbye and i say hello
the cat sat on the mat
the boat came back
once upon a time a king was a man
the queen was a woman and the king a man
i would like to have breakfast and lunch
we have dinner at the table
ice and steam are water
the tree is tall
the value of the tree changed in time
""".splitlines()
PAIRS = [
    ("king", "queen", 9.0),
    ("man", "woman", 8.5),
    ("man", "king", 7.0),
    ("tree", "table", 2.0),
    ("cat", "king", 1.5),
]
PAIRS += [("cat", "man", 4.5), ("woman", "table", 2.5)]


def written(n_lines: int, begin: int = 0) -> str:
    """So many lines, each of two sentences, no two of the first hundreds alike."""
    both = itertools.islice(itertools.product(SENTENCES[begin:] + SENTENCES[:begin], SENTENCES), n_lines)
    return "".join(f"{first}, {second}\n" for first, second in both)


def write_texts(folder: Path) -> None:
    """The files that pages name, in this folder; $MALMOI_DATA is `data` there, WordNet `wordnet`."""
    text = written(150)
    for name in ("corpus.txt", "large.txt", "korean.txt", "reviews.txt", "novels/first.txt", "letters/old/first.txt"):
        _write(folder / name, text)
    for name in ("test.txt", "valid.txt", "small.txt", "more.txt"):
        _write(folder / name, written(20, begin=7))
    _write(folder / "lines.txt", written(3))
    with gzip.open(folder / "reviews.csv.gz", "wt", encoding="utf-8") as file:
        file.write("id,review\n" + "".join(f'{i},"{line}"\n' for i, line in enumerate(text.splitlines())))
    with gzip.open(folder / "dump.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    _write(folder / "nbest.tsv", "1\t-1.5\tthe cat sat\n1\t-1.2\tthe bat sat\n2\t-3\ta king\n")
    texts = '{"text": "the cat sat", "score": -1.5}, {"text": "the bat sat", "score": -1.2}'
    _write(folder / "nbest.jsonl", f'{{"id": "1", "hypotheses": [{texts}]}}\n')
    sets = "".join(f"{first}\t{second}\t{score}\n" for first, second, score in PAIRS)
    for name in ("EN-WS-353-SIM.txt", "EN-WS-353-REL.txt", "data/wordsim/pairs.txt"):
        _write(folder / name, sets)
    _write(folder / "data/wordsim/questions.txt", ": people\nking man queen woman\nman king woman queen\n")
    for part in ("train", "valid", "test"):
        _write(folder / f"data/ptb/ptb.{part}.txt", written(200 if part == "train" else 30).replace("boat", "<unk>"))
    shutil.copy(ROOT / "LICENSE", folder)
    for recipe in (ROOT / "recipes").rglob("*.toml"):
        _write(folder / recipe.relative_to(ROOT), recipe.read_text(encoding="utf-8"))
    write_wordnet(folder / "wordnet", ENTRIES)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _noun(name: str, *above: str, words: str = "", seen: int = 1) -> Entry:
    listed = tuple(word.replace(" ", "_") for word in (words or name).split(", "))
    return Entry(name, "n", listed, f"a made-up meaning of {name}", above, seen=seen)


ENTRIES = (  # the words are those that the page about the thesaurus shows
    _noun("entity"),
    _noun("animal", "entity", words="animal, animate being, beast, brute, creature, fauna"),
    _noun("placental", "animal", words="placental, placental mammal, eutherian, eutherian mammal"),
    _noun("carnivore", "placental"),
    _noun("canine_tooth", "entity", words="canine"),
    _noun("canine", "carnivore", words="canine, canid"),
    _noun("feline", "carnivore", words="feline, felid"),
    _noun("domestic_animal", "animal", words="domestic animal, domesticated animal"),
    _noun("dog", "canine", "domestic_animal", words="dog, domestic dog, Canis familiaris", seen=42),
    _noun("frump", "entity", words="frump, dog"),
    _noun("chap", "entity", words="dog"),
    _noun("cad", "entity", words="cad, bounder, blackguard, dog, hound, heel"),
    _noun("cat", "feline"),
    _noun("tree", "entity"),
    _noun("table", "entity"),
    _noun("man", "animal"),
    _noun("woman", "animal"),
    _noun("king", "man"),
    _noun("queen", "woman"),
    Entry("chase", "v", ("chase", "chase_after", "trail", "tail", "tag", "dog"), "run after", seen=2),
    Entry("glad", "a", ("glad",), "full of joy"),
    Entry("gladly", "r", ("gladly",), "with joy"),
)

LSTM = ("train", "lstm", "corpus.txt", "--steps", "2", "--tokenizer", "char")
RUNS = {  # how a run comes about that a page uses and does not make
    "lstm": LSTM,
    "gru": ("train", "gru", *LSTM[2:]),
    "ngram": ("train", "ngram", "corpus.txt", "--order", "5"),
    "word2vec": ("train", "word2vec", "corpus.txt", "--embed-dim", "20", "--epochs", "2"),
    "korean": ("train", "word2vec", "korean.txt", "--subwords", "jamo", "--embed-dim", "20", "--epochs", "2"),
    "glove": ("train", "glove", "corpus.txt", "--embed-dim", "20", "--epochs", "2"),
}
NAMES = {  # what the pages call them
    **dict.fromkeys(("RUN", "runs/a", "runs/mine", "runs/korean", "runs/nsmc"), "lstm"),
    **{"runs/b": "gru", "runs/five": "ngram", "runs/words": "korean", "runs/other": "glove"},
    **dict.fromkeys(("runs/novels", "runs/word2vec-corpus"), "word2vec"),
}


class Runs:
    """Tiny runs, each trained when a page first needs it.

    Args:
        folder: With the texts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lay(self, name: str, there: Path) -> None:
        """Put a copy of the run that pages call so into a folder, or the file that was made from one."""
        if name == "pruned.arpa":
            made = self._made("ngram").with_name("five.arpa")
            if not made.exists():
                self._run("export", str(self._made("ngram")), "--to", "arpa", "--out", str(made))
            shutil.copy(made, there / name)
        elif name in NAMES:
            shutil.copytree(self._made(NAMES[name]), there / name)

    def _made(self, kind: str) -> Path:
        made = self.folder / "made" / kind
        if not made.exists():
            self._run(*RUNS[kind], "--out", str(made))
        return made

    def _run(self, *words: str) -> None:
        with contextlib.chdir(self.folder):
            answer = shell.malmoi([*words])
        assert answer.code == 0, answer.told
