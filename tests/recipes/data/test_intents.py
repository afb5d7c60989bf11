import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recipes.data import intents, tfds_arrays

FIRST = [
    "hello , do i need an umbrella tomorrow in rome",
    "now what is the weather in tokyo saturday",
    "now what is the weather in delhi monday",
]


@pytest.fixture(scope="module")
def parts():
    return intents.embedded()


def test_each_of_12_intents_has_its_sentences(parts):
    for (sentences, names), count in zip(parts, (100, 20, 30), strict=True):
        assert sentences.dtype.kind == names.dtype.kind == "U"
        assert sentences.shape == names.shape == (12 * count,)
        assert sorted(Counter(names.tolist()).values()) == [count] * 12


def test_no_sentence_is_there_twice(parts):
    sentences = [sentence for part in parts for sentence in part[0]]
    assert len(set(sentences)) == len(sentences) == 1800


def test_sentences_are_whole(parts):
    for sentence in np.concatenate([sentences for sentences, _ in parts]):
        words = sentence.split()
        assert sentence == " ".join(words)
        assert 2 <= len(words) <= 13
        assert not set("{}") & set(sentence)
        # No value is there twice: nobody flies from Paris to Paris.
        for slot in ("city", "person", "day"):
            values = [word for word in words if word in intents._VALUES[slot].split()]
            assert len(values) == len(set(values))


def test_each_template_is_used(parts):
    for sentences, names in parts:
        for intent, templates in intents._TEMPLATES.items():
            of_intent = " | ".join(sentences[names == intent])
            for template in templates:
                assert template.split("{")[0] in of_intent


def test_the_test_part_alone_has_new_words(parts):
    training, validation, test = (
        {word for sentence in sentences for word in sentence.split()} for sentences, _ in parts
    )
    assert validation <= training
    assert test - training == {
        "vienna", "nairobi", "sunday", "friday", "five", "midnight", "mary", "paul", "ninety",
        "seventy",
    }  # fmt: skip


def test_two_intents_differ_by_the_order_of_their_words_alone(parts):
    """What counts words cannot tell them apart."""
    (sentences, names), _, _ = parts

    def words(intent):
        return {tuple(sorted(sentence.split())) for sentence in sentences[names == intent]}

    assert len(words("fill_savings") & words("empty_savings")) > 10
    for sentence, name in zip(sentences, names, strict=True):
        if "savings" in name:
            fills = sentence.index("checking") < sentence.index("savings")
            assert name == ("fill_savings" if fills else "empty_savings")
    for other in set(names) - {"empty_savings"}:
        assert other == "fill_savings" or not words("empty_savings") & words(other)


def test_is_always_the_same(parts):
    for one, two in zip(parts, intents.embedded(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [part[0][0] for part in parts] == FIRST


def test_what_tfds_has_is_read_as_it_is(monkeypatch):
    def read(name, splits, features):
        assert (name, features) == ("clinc_oos", ("text", "intent_name"))
        parts = {
            "train": ([b"hi", "où est-ce".encode()], [b"greeting", b"directions"]),
            "validation": ([b"bye now"], [b"goodbye"]),
            "test": ([b"what 's up"], [b"greeting"]),
        }
        return [tuple(map(np.array, parts[split])) for split in splits]

    monkeypatch.setattr(tfds_arrays, "read", read)
    train, validation, test = intents.from_tfds()
    assert [array.tolist() for array in train] == [["hi", "où est-ce"], ["greeting", "directions"]]
    assert [array.tolist() for array in validation] == [["bye now"], ["goodbye"]]
    assert [array.tolist() for array in test] == [["what 's up"], ["greeting"]]


def prepared():
    return Path(os.environ.get("TFDS_DATA_DIR", "nowhere"), intents.NAME).is_dir()


@pytest.mark.skipif(not prepared(), reason="TFDS has not prepared clinc_oos here")
def test_clinc_oos_is_that_of_the_paper():
    parts = intents.from_tfds()
    for (sentences, names), count in zip(parts, (100, 20, 30), strict=True):
        assert len(sentences) == len(names) == 150 * count
        assert sorted(Counter(names.tolist()).values()) == [count] * 150
        assert set(names) == set(parts[0][1])
    words = [len(sentence.split()) for sentences, _ in parts for sentence in sentences]
    assert max(words) == 28
    assert np.mean(np.array(words) <= 20) > 0.995  # what lstm_intents reads of them
    intent_of = dict(zip(*parts[0], strict=True))
    assert intent_of["what time is it in the alaska standard timezone"] == "time"
