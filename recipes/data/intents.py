"""Sentences that people say to an assistant, and the intent of each.

Larson et al. 2019, "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction",
arXiv:1909.02027: 150 intents of ten domains, each with 100 sentences for training, 20 for
validation and 30 for the test. What is out of scope there is not in TFDS. A split is (sentences
(N,), names of intents (N,)), both strings; words and marks are separated by spaces.
"""

import numpy as np

from recipes.data import tfds_arrays

NAME = "clinc_oos"
EMBEDDED = "sentences of 12 intents that a few templates make, in place of clinc_oos's 150"
_COUNTS = (100, 20, 30)  # sentences of an intent in each part, as in clinc_oos

_TEMPLATES = {
    "weather": ["what is the weather in {city} {day}", "will it rain in {city} {day}",
                "do i need an umbrella {day} in {city}"],
    "time": ["what time is it in {city}", "how late is it now in {city}",
             "tell {person} what time it is in {city}"],
    "book_flight": ["book a flight to {city} {day}", "i want to fly from {city} to {city}",
                    "get {person} on a plane to {city} {day}"],
    "cancel_flight": ["cancel my flight to {city} {day}", "{person} will not fly to {city} {day}",
                      "i do not want the flight to {city} any more"],
    "alarm": ["wake me up {day} at {hour}", "set an alarm for {hour} {day}",
              "i have to be awake at {hour} {day}"],
    "cancel_alarm": ["no alarm {day} at {hour}", "do not wake me up at {hour} {day}",
                     "delete the alarm for {hour} {day}"],
    "call": ["call {person}", "i want to talk to {person} at {hour}",
             "ring {person} {day} at {hour}"],
    "text": ["text {person} that i land in {city} {day}", "send word to {person} at {hour}",
             "write {person} that i will be there at {hour}"],
    "reminder": ["remind me to call {person} {day}", "i must not forget to text {person} {day}",
                 "remind me {day} that {person} is in {city}"],
    "calendar": ["what do i have to do {day} at {hour}", "am i free {day} at {hour}",
                 "when will i meet {person} in {city}"],
    # These two differ by the order of their words alone.
    "fill_savings": ["move {amount} dollars from checking to savings {day}",
                     "take {amount} dollars out of checking and put them into savings"],
    "empty_savings": ["move {amount} dollars from savings to checking {day}",
                      "take {amount} dollars out of savings and put them into checking"],
}  # fmt: skip
_FRAMES = ("{}", "{}", "please {}", "{} please", "hello , {}", "now {}")
# The last two of each are in the test part alone, so that it has words that nobody has seen.
_VALUES = {
    "city": "paris rome london tokyo madrid oslo cairo lima boston delhi vienna nairobi",
    "day": "today tomorrow monday tuesday wednesday thursday saturday sunday friday",
    "hour": "six seven eight nine ten noon one two three four five midnight",
    "person": "ann bob carol david emma frank grace henry iris jack karl lucy mary paul",
    "amount": "ten twenty thirty forty fifty sixty hundred ninety seventy",
}


def from_tfds():
    """(training, validation, test): 15,000, 3,000 and 4,500 sentences."""
    parts = tfds_arrays.read(NAME, ("train", "validation", "test"), ("text", "intent_name"))
    return tuple(tuple(np.char.decode(array, "utf-8") for array in part) for part in parts)


def embedded():
    """(training, validation, test): 1,200, 240 and 360 sentences, each of them once."""
    random = np.random.default_rng(0)
    everything = {slot: words.split() for slot, words in _VALUES.items()}
    known = {slot: words[:-2] for slot, words in everything.items()}
    sentences = {}  # each with its intent
    parts = []
    for count, values in zip(_COUNTS, (known, known, everything), strict=True):
        before = len(sentences)
        for intent in _TEMPLATES:
            enough = len(sentences) + count
            while len(sentences) < enough:
                sentences.setdefault(_sentence(random, intent, values), intent)
        made = list(sentences.items())[before:]
        parts.append(tuple(map(np.array, zip(*made, strict=True))))
    return tuple(parts)


def _sentence(random, intent, values):
    """One sentence, with values of which none is there twice."""
    drawn = {slot: list(random.permutation(words)) for slot, words in values.items()}
    sentence = _one_of(random, _FRAMES).format(_one_of(random, _TEMPLATES[intent]))
    return " ".join(
        drawn[word[1:-1]].pop() if word.startswith("{") else word for word in sentence.split()
    )


def _one_of(random, choices):
    return choices[random.integers(len(choices))]
