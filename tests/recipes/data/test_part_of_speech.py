import os
from collections import Counter
from pathlib import Path

import pytest

from recipes.data import part_of_speech, tfds_arrays
from recipes.data.part_of_speech import CLASSES

FIRST = (
    "can/AUX some/PRON paint/VERB near/ADP this/DET plant/NOUN ?/PUNCT the/DET light/ADJ walk/NOUN "
    "can/AUX like/VERB"
)


@pytest.fixture(scope="module")
def parts():
    return part_of_speech.embedded()


def pairs(part):
    return [
        (word, CLASSES[tag])
        for words, tags in zip(*part, strict=True)
        for word, tag in zip(words, tags, strict=True)
    ]


def test_classes_are_the_17_of_universal_dependencies():
    assert len(CLASSES) == 17
    assert list(CLASSES) == sorted(CLASSES)
    assert CLASSES[7] == "NOUN" and CLASSES[15] == "VERB"


def test_each_sentence_is_there_once_and_each_word_has_a_tag(parts):
    assert [len(sentences) for sentences, _ in parts] == [1200, 150, 150]
    texts = [" ".join(words) for sentences, _ in parts for words in sentences]
    assert len(set(texts)) == 1500
    for sentences, tags in parts:
        assert sentences.shape == tags.shape == (len(sentences),)
        for words, of_words in zip(sentences, tags, strict=True):
            assert isinstance(words, list) and isinstance(of_words, list)
            assert 4 <= len(words) == len(of_words) <= 16
            assert words[-1] in (".", "?") and CLASSES[of_words[-1]] == "PUNCT"


def test_words_have_the_tags_that_the_grammar_gives_them(parts):
    allowed = {
        (word, tag) for tag, words in part_of_speech._WORDS.items() for word in words.split()
    } | set(part_of_speech._OTHERS.items())
    found = [set(pairs(part)) for part in parts]
    assert set.union(*found) == allowed
    # After a determiner comes what it determines, and after an auxiliary what is done.
    for part in parts:
        for sentence, tags in zip(*part, strict=True):
            names = [CLASSES[tag] for tag in tags]
            for word, name, after in zip(sentence, names, names[1:], strict=False):
                if name == "DET":
                    assert after in ("NOUN", "ADJ"), sentence
                if (name, word) == ("PART", "to"):
                    assert after == "VERB", sentence


def test_neighbours_tell_what_many_words_are(parts):
    tags = {}
    for word, tag in pairs(parts[0]):
        tags.setdefault(word, Counter())[tag] += 1
    ambiguous = [word for word in tags if len(tags[word]) > 1]
    assert {"watch", "can", "will", "that", "to", "early", "near"} <= set(ambiguous)
    assert len(ambiguous) > 20
    # Nobody who looks at words alone has more than this.
    most = sum(max(each.values()) for each in tags.values())
    assert 0.8 < most / sum(sum(each.values()) for each in tags.values()) < 0.85


def test_the_test_part_alone_has_new_words(parts):
    training, validation, test = ({word for word, _ in pairs(part)} for part in parts)
    assert validation <= training
    assert test - training == {
        "useful", "gorgeous", "kindly", "gladly", "nation", "sadness", "motion", "Grace", "Oslo",
        "identify", "clarify",
    }  # fmt: skip


def test_is_always_the_same(parts):
    for one, two in zip(parts, part_of_speech.embedded(), strict=True):
        assert pairs(one) == pairs(two)
    assert " ".join(f"{word}/{tag}" for word, tag in pairs(parts[0])[:12]) == FIRST


def test_what_tfds_has_is_read_and_only_words_have_a_tag(monkeypatch):
    columns = {
        "train": ([[b"I", b"cannot", b"can", b"not"], [b"Stop"]], [[10, 17, 3, 9], [15]]),
        "dev": ([["Comédie".encode()]], [[16]]),
        "test": ([[b"a", b"b"], [b"c", b"d"]], [[0, 1], [2, 3]]),
    }

    def read(name, splits, features):
        assert (name, features) == ("universal_dependencies/en_partut", ("tokens", "upos"))
        return [tuple(map(tfds_arrays._column, columns[split])) for split in splits]

    monkeypatch.setattr(tfds_arrays, "read", read)
    train, validation, test = part_of_speech.from_tfds()
    # "cannot" is how the two words after it are written.
    assert [list(column) for column in train] == [
        [["I", "can", "not"], ["Stop"]],
        [[10, 3, 9], [15]],
    ]
    assert [list(column) for column in validation] == [[["Comédie"]], [[16]]]
    # Lists of one length, which NumPy would make a table of, are lists still.
    assert [list(column) for column in test] == [[["a", "b"], ["c", "d"]], [[0, 1], [2, 3]]]
    assert all(column.dtype == object and column.ndim == 1 for column in (*train, *test))


def prepared():
    return Path(os.environ.get("TFDS_DATA_DIR", "nowhere"), part_of_speech.NAME).is_dir()


@pytest.mark.skipif(not prepared(), reason="TFDS has not prepared universal_dependencies here")
def test_en_partut_has_the_sentences_that_it_is_known_for():
    parts = part_of_speech.from_tfds()
    assert [len(sentences) for sentences, _ in parts] == [1781, 156, 153]
    assert [len(pairs(part)) for part in parts] == [43503, 2722, 3408]
    counts = Counter(tag for part in parts for _, tag in pairs(part))
    assert set(counts) == set(CLASSES)
    assert counts.most_common(1)[0][0] == "NOUN"
    assert pairs(parts[0])[:4] == [
        ("He", "PRON"),
        ("seems", "VERB"),
        ("to", "PART"),
        ("have", "AUX"),
    ]
