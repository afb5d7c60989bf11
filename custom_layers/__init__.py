"""Layers written from scratch in ``keras.ops``, one equation a file.

Importing this package registers every layer with Keras, so that
``keras.models.load_model`` finds them in safe mode without ``custom_objects``.
"""

from custom_layers.adaptive_average_pooling import AdaptiveAveragePooling2D
from custom_layers.additive_attention import AdditiveAttention
from custom_layers.attentive_decoder import AttentiveDecoder
from custom_layers.batch_norm import BatchNormalization
from custom_layers.conv_lstm import ConvLSTM
from custom_layers.dropout import Dropout
from custom_layers.gelu import GELU
from custom_layers.gru_cell import GRUCell
from custom_layers.known_tokens import KnownTokens
from custom_layers.layer_scale import LayerScale
from custom_layers.leaky_relu import LeakyReLU
from custom_layers.learned_positions import LearnedPositions
from custom_layers.learned_token import LearnedToken
from custom_layers.lstm_cell import LSTMCell
from custom_layers.mixture_of_experts import MixtureOfExperts
from custom_layers.multi_head_attention import MultiHeadAttention
from custom_layers.multiplicative_attention import MultiplicativeAttention
from custom_layers.relative_position_bias import RelativePositionBias
from custom_layers.rms_normalization import RMSNormalization
from custom_layers.rnn_cell import RNNCell
from custom_layers.rotary_positions import RotaryPositions
from custom_layers.scaled_dot_product_attention import ScaledDotProductAttention
from custom_layers.sinusoidal_positions import SinusoidalPositions
from custom_layers.stochastic_depth import StochasticDepth
from custom_layers.swiglu import SwiGLU
from custom_layers.window_attention import WindowAttention

__all__ = [
    "GELU",
    "AdaptiveAveragePooling2D",
    "AdditiveAttention",
    "AttentiveDecoder",
    "BatchNormalization",
    "ConvLSTM",
    "Dropout",
    "GRUCell",
    "KnownTokens",
    "LSTMCell",
    "LayerScale",
    "LeakyReLU",
    "LearnedPositions",
    "LearnedToken",
    "MixtureOfExperts",
    "MultiHeadAttention",
    "MultiplicativeAttention",
    "RMSNormalization",
    "RNNCell",
    "RelativePositionBias",
    "RotaryPositions",
    "ScaledDotProductAttention",
    "SinusoidalPositions",
    "StochasticDepth",
    "SwiGLU",
    "WindowAttention",
]
