"""Long short-term memory: a recurrent network whose gates decide what it keeps.

Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9, section 4, with the
forget gate of Gers, Schmidhuber and Cummins 2000, "Learning to Forget: Continual Prediction with
LSTM", section 3.1; both ways: Graves and Schmidhuber 2005, "Framewise Phoneme Classification with
Bidirectional LSTM and Other Neural Network Architectures", section 3; language models: Graves 2013,
"Generating Sequences with Recurrent Neural Networks", arXiv:1308.0850, section 3.

    sequence          tokens (B, T), embedded -> (B, T, 128); or features (B, T, F)
    layer1, ...       c[t] = f[t] c[t-1] + i[t] g[t], h[t] = o[t] tanh(c[t])    -> (B, T, 128)
    classifier        h[T] -> logits
    tagger            each h[t], of both ways -> logits
    forecaster        h[T] -> the next steps
    language model    each h[t] -> logits of the next token

``custom_layers.LSTMCell`` has the gates' equations in code; the layers here are Keras's own.

Along the memory c the gradient from step T to step t is the product of the forget gates between
them: what the gates leave open lasts, and nothing squashes it on the way (section 3.2 of the first
paper, the "constant error carousel").

Differs from the papers: gates do not look at the memory (Gers and Schmidhuber 2000, "peepholes",
which Graves has); a block has one cell; and layers see the one below alone, where Graves 2013 joins
each to the input and to the output.
"""

from keras import layers

from zoo.sequences import classifier, forecaster, language_model, tagger


def lstm_classifier(**arguments):
    return classifier("lstm_classifier", layers.LSTM, **arguments)


def lstm_tagger(**arguments):
    return tagger("lstm_tagger", layers.LSTM, **arguments)


def lstm_forecaster(**arguments):
    return forecaster("lstm_forecaster", layers.LSTM, **arguments)


def lstm_language_model(**arguments):
    return language_model("lstm_language_model", layers.LSTM, **arguments)
