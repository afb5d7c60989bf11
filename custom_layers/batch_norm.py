"""Batch normalization.

Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by
Reducing Internal Covariate Shift", arXiv:1502.03167, algorithms 1 and 2.
"""

import keras
from keras import layers, ops

from custom_layers.precision import at_least_float32


@keras.saving.register_keras_serializable("custom_layers")
class BatchNormalization(layers.Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, for each feature.

    Training:   mean and variance (biased, as in the paper) are those of the batch, over
                every axis but ``axis``, and the moving statistics follow them:
                moving = momentum * moving + (1 - momentum) * batch
                (Keras's convention; torch's momentum is 1 minus this one, and torch's
                moving variance is the unbiased one).

    Inference:  mean and variance are the moving statistics. So it is too in training
                while ``trainable`` is False, as in Keras.

    The variance takes two passes (the mean first, then the squared distance from it),
    and every mean is taken in stages: within each example, then over the batch. One
    float32 mean over all of (batch, height, width) is off by up to 5e-4 on TensorFlow;
    in stages the backends agree. Statistics and weights stay in float32 under mixed
    precision. Masks are not supported: Keras warns where it drops one here.

    Args:
        axis: the feature axis, an integer; -1 for channels last, 1 for channels first.
        momentum: share of the old moving statistics that a step keeps, in [0, 1]. With
            0.99 they need hundreds of steps to forget their start: give a short run 0.9.
        epsilon: added to the variance, above 0. Keras's default is 1e-3, torch's 1e-5.
        center: learn ``beta``.
        scale: learn ``gamma``.

    Shapes: any of rank 2 or more, with a known size at ``axis`` -> the same.

    Raises:
        ValueError: ``momentum`` or ``epsilon`` is out of range; ``axis`` is no axis of the
            input, or the input's size there is unknown.
    """

    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], got {momentum}.")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be above 0, got {epsilon}.")
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale

    def build(self, input_shape):
        rank = len(input_shape)
        if rank < 2 or not -rank <= self.axis < rank:
            raise ValueError(
                f"axis {self.axis} does not fit an input of shape {tuple(input_shape)}: "
                f"the input needs rank 2 or more, and that axis."
            )
        num_features = input_shape[self.axis]
        if num_features is None:
            raise ValueError(
                f"axis {self.axis} of the input shape {tuple(input_shape)} is unknown: "
                f"the number of features must be known to build the weights."
            )
        if self.scale:
            self.gamma = self._add_statistic("gamma", num_features, "ones", trainable=True)
        if self.center:
            self.beta = self._add_statistic("beta", num_features, "zeros", trainable=True)
        self.moving_mean = self._add_statistic("moving_mean", num_features, "zeros")
        self.moving_variance = self._add_statistic("moving_variance", num_features, "ones")

    def _add_statistic(self, name, num_features, initializer, trainable=False):
        # autocast=False: Keras would hand it to call() in half precision otherwise.
        return self.add_weight(
            name=name,
            shape=(num_features,),
            initializer=initializer,
            trainable=trainable,
            autocast=False,
        )

    def call(self, inputs, training=False):
        x = at_least_float32(inputs)
        feature_axis = self.axis % len(x.shape)
        # (1, ..., features, ..., 1), to be broadcast against x
        shape = [-1 if axis == feature_axis else 1 for axis in range(len(x.shape))]

        if training and self.trainable:
            mean = _mean_in_stages(x, feature_axis)
            # So written, and not as x - mean and a square, its derivative is cheaper on PyTorch.
            centered = x + (-mean)
            variance = _mean_in_stages(centered * centered, feature_axis)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                batch = ops.reshape(batch, (-1,))
                moving.assign(self.momentum * moving + (1 - self.momentum) * batch)
        else:
            centered = x - ops.reshape(self.moving_mean, shape)
            variance = ops.reshape(self.moving_variance, shape)

        multiplier = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            multiplier = multiplier * ops.reshape(self.gamma, shape)
        outputs = centered * multiplier
        if self.center:
            outputs = outputs + ops.reshape(self.beta, shape)
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }


def _mean_in_stages(x, feature_axis):
    """Mean over every axis but one: within each example first, then over the batch."""
    first, *rest = [axis for axis in range(len(x.shape)) if axis != feature_axis]
    if rest:
        x = ops.mean(x, axis=rest, keepdims=True)
    return ops.mean(x, axis=first, keepdims=True)
