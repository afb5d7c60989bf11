"""The gradients of one layer, got through the training step that the recipes use."""

import keras
from keras import ops

from recipes.training.gradient_step import gradient_step
from recipes.training.kept_gradients import KeptGradients


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

    kept = KeptGradients()
    _, outputs = gradient_step(compute_loss, model, kept)(upstream.astype("float32"))
    gradients = {
        variable.name: ops.convert_to_numpy(gradient)
        for variable, gradient in zip(model.trainable_variables, kept.gradients, strict=True)
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
