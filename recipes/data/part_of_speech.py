"""English sentences, and the part of speech of each word.

The tags are those of Universal Dependencies: Nivre et al. 2016, "Universal Dependencies v1: A
Multilingual Treebank Collection", LREC; the sentences those of its English part of ParTUT (Bosco
and Sanguinetti 2014, "Towards a Universal Stanford Dependencies Parallel Treebank"). A split is
(sentences (N,), each a list of words; tags (N,), each a list of positions in CLASSES).
"""

import numpy as np

from recipes.data import tfds_arrays

NAME = "universal_dependencies/en_partut"
_TAGS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
CLASSES = tuple(_TAGS.split())
EMBEDDED = "sentences that a small grammar makes, in place of universal_dependencies' real ones"
_COUNTS = (1200, 150, 150)
_LONGEST = 16  # words

# Symbols in lower case are replaced by one of their productions; tags by one of their words.
_GRAMMAR = {
    "sentence": ["clause .", "clause .", "clause .", "clause CCONJ clause .", "INTJ , clause .",
                 "clause because clause .", "question ?"],
    "question": ["AUX subject action", "AUX subject action", "AUX we that_clause"],
    "clause": ["subject AUX action", "subject AUX action", "we action", "we that_clause"],
    "subject": ["phrase", "phrase", "PROPN", "we"],
    "action": ["VERB object", "VERB object", "VERB ADV", "VERB object place", "VERB to VERB object",
               "VERB place"],
    "that_clause": ["VERB that subject AUX action"],
    "object": ["phrase", "phrase", "phrase", "PROPN", "it"],
    "phrase": ["DET NOUN", "DET ADJ NOUN", "DET ADJ NOUN", "NUM NOUN", "DET NOUN place"],
    "place": ["ADP phrase", "ADP PROPN"],
    "we": ["PRON"],
}  # fmt: skip
# Words of the grammar with a tag of their own.
_OTHERS = {".": "PUNCT", "?": "PUNCT", ",": "PUNCT", "because": "SCONJ", "that": "SCONJ",
           "to": "PART", "it": "PRON"}  # fmt: skip
# Many a word is in two lists, and its neighbours alone tell which it is.
_WORDS = {
    "ADJ": "light early fast calm open careful famous curious careless nervous useful gorgeous",
    "ADP": "in on to with like near",
    "ADV": "early fast in near slowly carefully rarely loudly kindly gladly",
    "AUX": "can will must should",
    "CCONJ": "and or but",
    "DET": "the a that this some every",
    "INTJ": "well oh no",
    "NOUN": "watch plant walk paint fish work play answer visit drink light can will calm open "
            "market garden kindness station attention darkness nation sadness motion",
    "NUM": "one two three ten",
    "PRON": "we they you one some this",
    "PROPN": "Ann Will Rome Mark Paris Bob May Lima Grace Oslo",
    "VERB": "watch plant walk paint fish work play answer visit drink light like near open calm "
            "mark find see believe remember simplify identify clarify",
}  # fmt: skip
# So many of their last words are in the test part alone, as new words of a language would be.
_NEW = {"ADJ": 2, "ADV": 2, "NOUN": 3, "PROPN": 2, "VERB": 2}


def from_tfds():
    """(training, validation, test): 1,781, 156 and 153 sentences."""
    parts = tfds_arrays.read(NAME, ("train", "dev", "test"), ("tokens", "upos"))
    return tuple(_column_pair(map(_words_and_tags, *part)) for part in parts)


def _words_and_tags(tokens, tags):
    # Before the words "can" and "not" of "cannot" comes what they are written as, with the tag "_".
    pairs = [
        (token.decode("utf-8"), int(tag))
        for token, tag in zip(tokens, tags, strict=True)
        if tag < len(CLASSES)
    ]
    return [word for word, _ in pairs], [tag for _, tag in pairs]


def embedded():
    """(training, validation, test): 1,200, 150 and 150 sentences, each of them once."""
    random = np.random.default_rng(0)
    everything = {tag: words.split() for tag, words in _WORDS.items()}
    known = {tag: words[: len(words) - _NEW.get(tag, 0)] for tag, words in everything.items()}
    made = {}  # each sentence as a text, with its words and tags
    parts = []
    for count, words in zip(_COUNTS, (known, known, everything), strict=True):
        before = len(made)
        while len(made) < before + count:
            pairs = _expand(random, "sentence", words)
            if len(pairs) <= _LONGEST:
                made.setdefault(" ".join(word for word, _ in pairs), pairs)
        parts.append(
            _column_pair(
                ([word for word, _ in pairs], [CLASSES.index(tag) for _, tag in pairs])
                for pairs in list(made.values())[before:]
            )
        )
    return tuple(parts)


def _expand(random, symbol, words):
    """What the grammar makes of a symbol: [(word, tag), ...]."""
    if symbol in words:
        return [(_one_of(random, words[symbol]), symbol)]
    if symbol in _OTHERS:
        return [(symbol, _OTHERS[symbol])]
    production = _one_of(random, _GRAMMAR[symbol]).split()
    return [pair for each in production for pair in _expand(random, each, words)]


def _one_of(random, choices):
    return choices[random.integers(len(choices))]


def _column_pair(examples):
    """Pairs of lists -> a pair of arrays of lists."""
    pairs = list(examples)
    columns = np.empty((2, len(pairs)), object)
    for index, pair in enumerate(pairs):
        columns[0, index], columns[1, index] = pair
    return columns[0], columns[1]
