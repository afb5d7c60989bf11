"""The catalog of reference architectures: ``build("lenet5")``, ``list_models("*lenet*")``.

Importing this package imports no keras; building a model imports the model's own file only.
"""

import difflib
import fnmatch
import importlib

_MODULES = {
    "alexnet": "zoo.convolutional.alexnet",
    "bert_base": "zoo.attention.bert",
    "bert_large": "zoo.attention.bert",
    "conv_lstm": "zoo.recurrent.conv_lstm",
    "convnext_tiny": "zoo.convolutional.convnext",
    "convnext_small": "zoo.convolutional.convnext",
    "convnext_base": "zoo.convolutional.convnext",
    "convnext_large": "zoo.convolutional.convnext",
    "deit_tiny_16": "zoo.attention.vit",
    "deit_tiny_distilled_16": "zoo.attention.vit",
    "deit_small_16": "zoo.attention.vit",
    "deit_small_distilled_16": "zoo.attention.vit",
    "deit_base_16": "zoo.attention.vit",
    "deit_base_distilled_16": "zoo.attention.vit",
    "densenet121": "zoo.convolutional.densenet",
    "densenet169": "zoo.convolutional.densenet",
    "densenet201": "zoo.convolutional.densenet",
    "efficientnet_b0": "zoo.convolutional.efficientnet",
    "efficientnet_b1": "zoo.convolutional.efficientnet",
    "efficientnet_b2": "zoo.convolutional.efficientnet",
    "efficientnet_b3": "zoo.convolutional.efficientnet",
    "efficientnet_b4": "zoo.convolutional.efficientnet",
    "efficientnet_b5": "zoo.convolutional.efficientnet",
    "efficientnet_b6": "zoo.convolutional.efficientnet",
    "efficientnet_b7": "zoo.convolutional.efficientnet",
    "googlenet": "zoo.convolutional.googlenet",
    "gpt2": "zoo.attention.gpt2",
    "gpt2_medium": "zoo.attention.gpt2",
    "gpt2_large": "zoo.attention.gpt2",
    "gpt2_xl": "zoo.attention.gpt2",
    "gru_classifier": "zoo.recurrent.gru",
    "gru_forecaster": "zoo.recurrent.gru",
    "gru_language_model": "zoo.recurrent.gru",
    "gru_tagger": "zoo.recurrent.gru",
    "lenet5": "zoo.convolutional.lenet",
    "llama3_2_1b": "zoo.attention.llama",
    "llama3_2_3b": "zoo.attention.llama",
    "llama3_8b": "zoo.attention.llama",
    "llama3_70b": "zoo.attention.llama",
    "llama3_405b": "zoo.attention.llama",
    "lstm_classifier": "zoo.recurrent.lstm",
    "lstm_forecaster": "zoo.recurrent.lstm",
    "lstm_language_model": "zoo.recurrent.lstm",
    "lstm_tagger": "zoo.recurrent.lstm",
    "minilm_l6": "zoo.attention.bert",
    "mistral_7b": "zoo.attention.llama",
    "mixtral_8x7b": "zoo.attention.mixtral",
    "mixtral_8x22b": "zoo.attention.mixtral",
    "mlp": "zoo.feedforward.mlp",
    "mnist_cnn": "zoo.convolutional.mnist_cnn",
    "mobilenet_v2": "zoo.convolutional.mobilenet_v2",
    "mobilenet_v3_large": "zoo.convolutional.mobilenet_v3",
    "mobilenet_v3_small": "zoo.convolutional.mobilenet_v3",
    "perceptron": "zoo.feedforward.perceptron",
    "qwen3_0_6b": "zoo.attention.qwen3",
    "qwen3_1_7b": "zoo.attention.qwen3",
    "qwen3_4b": "zoo.attention.qwen3",
    "qwen3_8b": "zoo.attention.qwen3",
    "qwen3_14b": "zoo.attention.qwen3",
    "qwen3_32b": "zoo.attention.qwen3",
    "residual_mlp": "zoo.feedforward.residual_mlp",
    "resnet18": "zoo.convolutional.resnet",
    "resnet34": "zoo.convolutional.resnet",
    "resnet50": "zoo.convolutional.resnet",
    "resnet101": "zoo.convolutional.resnet",
    "resnet152": "zoo.convolutional.resnet",
    "resnet20_cifar": "zoo.convolutional.resnet_cifar",
    "resnet32_cifar": "zoo.convolutional.resnet_cifar",
    "resnet44_cifar": "zoo.convolutional.resnet_cifar",
    "resnet56_cifar": "zoo.convolutional.resnet_cifar",
    "resnet110_cifar": "zoo.convolutional.resnet_cifar",
    "resnext50": "zoo.convolutional.resnext",
    "rnn_classifier": "zoo.recurrent.rnn",
    "rnn_forecaster": "zoo.recurrent.rnn",
    "rnn_language_model": "zoo.recurrent.rnn",
    "rnn_tagger": "zoo.recurrent.rnn",
    "se_resnet50": "zoo.convolutional.se_resnet",
    "seq2seq_bahdanau": "zoo.recurrent.seq2seq_bahdanau",
    "seq2seq_luong": "zoo.recurrent.seq2seq_luong",
    "swin_tiny": "zoo.attention.swin",
    "swin_small": "zoo.attention.swin",
    "swin_base": "zoo.attention.swin",
    "swin_large": "zoo.attention.swin",
    "t5_small": "zoo.attention.t5",
    "t5_base": "zoo.attention.t5",
    "t5_large": "zoo.attention.t5",
    "t5_3b": "zoo.attention.t5",
    "t5_11b": "zoo.attention.t5",
    "t5_v1_1_small": "zoo.attention.t5",
    "t5_v1_1_base": "zoo.attention.t5",
    "t5_v1_1_large": "zoo.attention.t5",
    "t5_v1_1_xl": "zoo.attention.t5",
    "t5_v1_1_xxl": "zoo.attention.t5",
    "transformer_base": "zoo.attention.transformer",
    "transformer_big": "zoo.attention.transformer",
    "unet": "zoo.convolutional.unet",
    "vgg11": "zoo.convolutional.vgg",
    "vgg11_bn": "zoo.convolutional.vgg",
    "vgg13": "zoo.convolutional.vgg",
    "vgg13_bn": "zoo.convolutional.vgg",
    "vgg16": "zoo.convolutional.vgg",
    "vgg16_bn": "zoo.convolutional.vgg",
    "vgg19": "zoo.convolutional.vgg",
    "vgg19_bn": "zoo.convolutional.vgg",
    "vit_tiny_16": "zoo.attention.vit",
    "vit_small_16": "zoo.attention.vit",
    "vit_base_16": "zoo.attention.vit",
    "vit_base_32": "zoo.attention.vit",
    "vit_large_16": "zoo.attention.vit",
    "vit_large_32": "zoo.attention.vit",
    "vit_huge_14": "zoo.attention.vit",
}


def list_models(pattern="*"):
    """Names that ``build`` knows, sorted; ``pattern`` is a shell pattern such as ``resnet*``."""
    return sorted(fnmatch.filter(_MODULES, pattern))


def build(name, seed=None, **arguments):
    """Builds the model called ``name``: a ``keras.Model`` with fresh weights.

    Args:
        name: one of ``list_models()``.
        seed: integer, 0 or more, that decides the initial weights and the dropout masks, bit for
            bit the same on every backend. None draws them as Keras does.
        arguments: the builder's own, such as ``num_classes`` and ``input_shape``; without them
            the model has the paper's size.

    Raises:
        ValueError: there is no such model, the seed is none, or the model cannot have these
            arguments.
    """
    if name not in list(_MODULES):  # a list takes any value, also one without a hash
        near = difflib.get_close_matches(str(name), _MODULES, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see list_models()."
        raise ValueError(f"there is no model {name!r}: {hint}")
    builder = getattr(importlib.import_module(_MODULES[name]), name)
    if seed is None:
        return builder(**arguments)
    from zoo.initial_weights import seeded

    return seeded(builder, seed, **arguments)


def load_weights(model, source, head=True):
    """``zoo.weights.load_weights``: a checkpoint of torchvision, timm or Hugging Face, loaded."""
    from zoo.weights import load_weights

    load_weights(model, source, head)


def generate(model, prompts, max_length, **arguments):
    """``zoo.generation.generate``: what a transformer goes on with, as tokens."""
    from zoo.generation import generate

    return generate(model, prompts, max_length, **arguments)


def save_weights(model, file):
    """``zoo.weights.save_weights``: a file that ``load_weights`` reads."""
    from zoo.weights import save_weights

    save_weights(model, file)
