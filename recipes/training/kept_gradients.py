"""Gradients themselves, on every backend: by a step that keeps them and moves nothing.

def compute_loss(images, labels):
    return loss_function(labels, model(images, training=True))

for variable, gradient in zip(
    model.trainable_variables, gradients_of(compute_loss, model, images, labels)
):
    print(variable.path, np.linalg.norm(gradient))
"""

import keras
from keras import ops

from recipes.training.gradient_step import gradient_step


def gradients_of(compute_loss, model, *batch, reads=()):
    """The gradients of a loss at a model's weights, which stay as they are.

    Compiled anew at each call. For the same gradients again and again, make a ``gradient_step``
    with ``KeptGradients`` as its optimizer, and read its ``gradients`` after each step.

    Args:
        compute_loss, model, reads: those of ``gradient_step``.
        batch: what ``compute_loss`` takes.

    Returns:
        NumPy arrays, in the order of the model's ``trainable_variables``.
    """
    kept = KeptGradients()
    gradient_step(compute_loss, model, kept, reads)(*batch)
    return [ops.convert_to_numpy(gradient) for gradient in kept.gradients]


class KeptGradients(keras.optimizers.Optimizer):
    """Keeps the gradients of the last step and leaves the weights alone.

    The change of a weight under gradient descent would tell its gradient only up to the weight's
    own rounding.

    Attributes:
        gradients: variables, in the order of those that the step trains.
    """

    def __init__(self):
        super().__init__(learning_rate=1.0)  # which nothing reads

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.gradients = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient, variable, learning_rate):
        self.assign(self.gradients[self._get_variable_index(variable)], gradient)
