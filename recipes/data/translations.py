"""Sentences, and what they are in another language.

Embedded: English sentences that a small grammar makes, and their translations to German, which has
three genders, cases, and verbs in other places. A folder of one's own has files train.en, train.de,
val.en, val.de, test.en and test.de, in any two languages, with a sentence a line; they may be
compressed (train.en.gz), and a test's name may be longer (test_2016_flickr.en): so come the files
of Multi30k (Elliott, Frank, Sima'an and Specia 2016, "Multi30K: Multilingual English-German Image
Descriptions", arXiv:1605.00459). A split is (sources (N,), targets (N,)), both strings.
"""

import gzip
from pathlib import Path

import numpy as np

NAME = "translations"
EMBEDDED = "English sentences that a small grammar makes, and their translations to German"
_COUNTS = (4000, 300, 300)
_PARTS = ("train", "val", "test")

# English, German, gender.
_BEINGS = (
    ("dog", "Hund", "m"), ("man", "Mann", "m"), ("bird", "Vogel", "m"), ("teacher", "Lehrer", "m"),
    ("cat", "Katze", "f"), ("woman", "Frau", "f"), ("nurse", "Pflegerin", "f"),
    ("child", "Kind", "n"), ("girl", "Mädchen", "n"), ("horse", "Pferd", "n"),
)  # fmt: skip
_THINGS = (
    ("ball", "Ball", "m"), ("apple", "Apfel", "m"), ("letter", "Brief", "m"), ("hat", "Hut", "m"),
    ("flower", "Blume", "f"), ("bag", "Tasche", "f"), ("lamp", "Lampe", "f"),
    ("book", "Buch", "n"), ("picture", "Bild", "n"), ("boat", "Boot", "n"),
)  # fmt: skip
_ADJECTIVES = (
    ("old", "alt"), ("young", "jung"), ("small", "klein"), ("big", "groß"), ("quiet", "still"),
    ("red", "rot"), ("new", "neu"), ("beautiful", "schön"),
)  # fmt: skip
# English: infinitive, present, participle; German: the same.
_VERBS = (
    ("see", "sees", "seen", "sehen", "sieht", "gesehen"),
    ("buy", "buys", "bought", "kaufen", "kauft", "gekauft"),
    ("find", "finds", "found", "finden", "findet", "gefunden"),
    ("carry", "carries", "carried", "tragen", "trägt", "getragen"),
    ("draw", "draws", "drawn", "zeichnen", "zeichnet", "gezeichnet"),
    ("look for", "looks for", "looked for", "suchen", "sucht", "gesucht"),
    ("love", "loves", "loved", "lieben", "liebt", "geliebt"),
    ("forget", "forgets", "forgotten", "vergessen", "vergisst", "vergessen"),
)
_TIMES = (
    ("today", "heute"), ("now", "jetzt"), ("every day", "jeden Tag"), ("in the evening", "abends"),
)  # fmt: skip
_PLACES = (
    ("in the garden", "im Garten"), ("at the station", "am Bahnhof"),
    ("in the city", "in der Stadt"), ("on the beach", "am Strand"), ("in the forest", "im Wald"),
)  # fmt: skip
# {definite: {case: {gender: (article, ending of an adjective)}}}
_ARTICLES = {
    True: {
        "nominative": {"m": ("der", "e"), "f": ("die", "e"), "n": ("das", "e")},
        "accusative": {"m": ("den", "en"), "f": ("die", "e"), "n": ("das", "e")},
    },
    False: {
        "nominative": {"m": ("ein", "er"), "f": ("eine", "e"), "n": ("ein", "es")},
        "accusative": {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")},
    },
}


def embedded():
    """(training, validation, test): 4,000, 300 and 300 pairs, of which no two are the same."""
    random = np.random.default_rng(0)
    pairs = {}
    while len(pairs) < sum(_COUNTS):
        pairs.setdefault(*_pair(random))
    pairs = np.array(list(pairs.items()))
    first, second = np.cumsum(_COUNTS)[:2]
    return tuple(tuple(part.T) for part in (pairs[:first], pairs[first:second], pairs[second:]))


def from_file(path):
    """(training, validation, test) of a folder; English is the source, else the first language.

    Raises:
        ValueError: a file is missing, there are not two languages, a line is empty, or the files
            of a part differ in length.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError("it is no folder with train.en, train.de, val.en and so on")
    files = {part: _files(folder, part) for part in _PARTS}
    languages = sorted(files["train"], key=lambda language: (language != "en", language))
    if len(languages) != 2:
        raise ValueError(
            f"it needs train.en and train.de, or two other languages, and has train in "
            f"{', '.join(languages) or 'none'}"
        )
    parts = []
    for part in _PARTS:
        missing = [language for language in languages if language not in files[part]]
        if missing:
            raise ValueError(f"it has no {part}.{missing[0]}")
        source, target = (_lines(files[part][language]) for language in languages)
        if len(source) != len(target):
            names = " and ".join(files[part][language].name for language in languages)
            raise ValueError(f"{names} have {len(source)} and {len(target)} lines")
        parts.append((source, target))
    return tuple(parts)


def _files(folder, part):
    """{language: path}."""
    files = {}
    for path in sorted(folder.glob(f"{part}*.*")):
        name = path.name.removesuffix(".gz")
        files.setdefault(name.rpartition(".")[2], path)
    return files


def _lines(path):
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    if "" in lines:
        raise ValueError(f"line {1 + lines.index('')} of {path.name} is empty")
    return np.array(lines)


def _pair(random):
    """A sentence in English, and in German."""
    verb = _one_of(random, _VERBS)
    subject, being = _phrase(random, _BEINGS, "nominative")
    thing, object_ = _phrase(random, _THINGS, "accusative")
    known, bekanntes = _phrase(random, _THINGS, "accusative", definite=True)
    (time, zeit), (place, ort) = _one_of(random, _TIMES), _one_of(random, _PLACES)
    infinitive, present, participle, grundform, präsens, partizip = verb
    ways = (
        (f"{subject} {present} {thing}", f"{being} {präsens} {object_}"),
        (f"{subject} {present} {thing} {place}", f"{being} {präsens} {object_} {ort}"),
        # The verb stays in the second place.
        (f"{time} {subject} {present} {thing}", f"{zeit} {präsens} {being} {object_}"),
        # It goes to the end in part, or in subordinate clauses as a whole.
        (f"{subject} has {participle} {thing}", f"{being} hat {object_} {partizip}"),
        (f"{subject} wants to {infinitive} {thing} {place}",
         f"{being} will {object_} {ort} {grundform}"),
        (f"{subject} does not {infinitive} {known}", f"{being} {präsens} {bekanntes} nicht"),
        (f"we know that {subject} {present} {thing}",
         f"wir wissen, dass {being} {object_} {präsens}"),
    )  # fmt: skip
    if random.random() < 0.15:
        english = f"does {subject} {infinitive} {thing} {place}?"
        german = f"{präsens} {being} {object_} {ort}?"
    else:
        english, german = (f"{text}." for text in _one_of(random, ways))
    return english, german


def _phrase(random, nouns, case, definite=False):
    """An article, an adjective or none, and a noun, in both languages."""
    english, german, gender = _one_of(random, nouns)
    definite = definite or bool(random.random() < 0.6)
    article, ending = _ARTICLES[definite][case][gender]
    words, german_words = ["the" if definite else "a", english], [article, german]
    if random.random() < 0.5:
        adjective, stem = _one_of(random, _ADJECTIVES)
        words.insert(1, adjective)
        german_words.insert(1, stem + ending)
    if not definite and words[1][0] in "aeiou":
        words[0] = "an"
    return " ".join(words), " ".join(german_words)


def _one_of(random, choices):
    return choices[random.integers(len(choices))]
