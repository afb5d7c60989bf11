"""The recurrent network: a state that each step makes anew from its input and the state before.

Elman 1990, "Finding Structure in Time", Cognitive Science 14, figure 2; both ways: Schuster and
Paliwal 1997, "Bidirectional Recurrent Neural Networks", IEEE Transactions on Signal Processing 45,
section II; language models: Mikolov, Karafiát, Burget, Černocký and Khudanpur 2010, "Recurrent
Neural Network Based Language Model", section 2.

    sequence          tokens (B, T), embedded -> (B, T, 128); or features (B, T, F)
    layer1, ...       h[t] = tanh(x[t] W + h[t-1] U + b)      -> (B, T, 128)
    classifier        h[T] -> logits
    tagger            each h[t], of both ways -> logits
    forecaster        h[T] -> the next steps
    language model    each h[t] -> logits of the next token

``custom_layers.RNNCell`` has the equation in code; the layers here are Keras's own.

What h[T] knows of step t has gone through T - t matrices: its gradient is a product of as many
factors diag(1 - h²) U, and goes to nothing or to infinity (Bengio, Simard and Frasconi 1994,
"Learning Long-Term Dependencies with Gradient Descent is Difficult"). Hence ``lstm`` and ``gru``.

Differs from Elman: the output layer sees the last state, or that of each step, and gives logits;
and tanh instead of the logistic function.
"""

from keras import layers

from zoo.sequences import classifier, forecaster, language_model, tagger


def rnn_classifier(**arguments):
    return classifier("rnn_classifier", layers.SimpleRNN, **arguments)


def rnn_tagger(**arguments):
    return tagger("rnn_tagger", layers.SimpleRNN, **arguments)


def rnn_forecaster(**arguments):
    return forecaster("rnn_forecaster", layers.SimpleRNN, **arguments)


def rnn_language_model(**arguments):
    return language_model("rnn_language_model", layers.SimpleRNN, **arguments)
