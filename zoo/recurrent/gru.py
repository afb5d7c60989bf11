"""The gated recurrent unit: a recurrent network with two gates and one state.

Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio 2014, "Learning Phrase
Representations using RNN Encoder-Decoder for Statistical Machine Translation", arXiv:1406.1078,
section 2.3, equations 5 to 8; against LSTM, also as language models: Chung, Gulcehre, Cho and
Bengio 2014, "Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling",
arXiv:1412.3555.

    sequence          tokens (B, T), embedded -> (B, T, 128); or features (B, T, F)
    layer1, ...       h[t] = z[t] h[t-1] + (1 - z[t]) n[t]      -> (B, T, 128)
    classifier        h[T] -> logits
    tagger            each h[t], of both ways -> logits
    forecaster        h[T] -> the next steps
    language model    each h[t] -> logits of the next token

``custom_layers.GRUCell`` has the gates' equations in code; the layers here are Keras's own.

Differs from the paper: the reset gate is applied behind the state's matrix and bias, as in cuDNN
and PyTorch (Keras's ``reset_after``).
"""

from keras import layers

from zoo.sequences import classifier, forecaster, language_model, tagger


def gru_classifier(**arguments):
    return classifier("gru_classifier", layers.GRU, **arguments)


def gru_tagger(**arguments):
    return tagger("gru_tagger", layers.GRU, **arguments)


def gru_forecaster(**arguments):
    return forecaster("gru_forecaster", layers.GRU, **arguments)


def gru_language_model(**arguments):
    return language_model("gru_language_model", layers.GRU, **arguments)
