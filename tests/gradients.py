"""The gradients of one layer, got through the training step that the recipes use."""

import keras
from keras import ops

from recipes.training.gradient_step import gradient_step


def outputs_and_gradients(layer, inputs, upstream, **call_arguments):
    """Calls a layer inside one compiled training step, under the loss sum(upstream * outputs).

    Args:
        layer: the layer to differentiate. Its state (moving statistics, seeds) moves by one
            call, its weights do not change.
        inputs: float32 array.
        upstream: array of the outputs' shape, the gradient that arrives from above.
        call_arguments: further arguments of the call, such as ``training``.

    Returns:
        (outputs, gradients): NumPy arrays; the gradients by name, "inputs" and the names of the
        layer's trainable weights.
    """
    model = TrainableInputs(layer, inputs)

    def compute_loss(upstream):
        outputs = layer(ops.convert_to_tensor(model.inputs_weight), **call_arguments)
        return ops.sum(upstream * ops.cast(outputs, "float32")), outputs

    recorder = GradientRecorder(learning_rate=1.0)
    _, outputs = gradient_step(compute_loss, model, recorder)(upstream.astype("float32"))
    gradients = {
        variable.name: ops.convert_to_numpy(gradient)
        for variable, gradient in zip(model.trainable_variables, recorder.gradients, strict=True)
    }
    return ops.convert_to_numpy(outputs), gradients


class TrainableInputs(keras.Model):
    def __init__(self, layer, inputs):
        super().__init__()
        self.layer = layer
        self.inputs_weight = self.add_weight(
            name="inputs", shape=inputs.shape, initializer="zeros", autocast=False
        )
        self.inputs_weight.assign(inputs)
        layer(inputs[:1])  # inference, which builds the weights and moves no state
        self.built = True


class GradientRecorder(keras.optimizers.Optimizer):
    """Keeps the gradients and leaves the weights alone.

    The change of a weight under gradient descent would tell the gradient only up to the weight's
    own rounding.
    """

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.gradients = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient, variable, learning_rate):
        self.assign(self.gradients[self._get_variable_index(variable)], gradient)
