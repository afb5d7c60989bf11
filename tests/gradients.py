"""The gradients of one layer, got through the training step that the recipes use."""

import keras
from keras import ops

from recipes.training.gradient_step import gradient_step


def outputs_and_gradients(layer, inputs, upstream, **call_arguments):
    """Calls a layer inside one compiled training step, under the loss sum(upstream * outputs).

    Args:
        layer: the layer to differentiate; its state (moving statistics, seeds) moves by one call.
        inputs: float32 array.
        upstream: array of the outputs' shape, the gradient that arrives from above.
        call_arguments: further arguments of the call, such as ``training``.

    Returns:
        (outputs, gradients): NumPy arrays; the gradients by name, "inputs" and the names of the
        layer's trainable weights.
    """
    model = _TrainableInputs(layer, inputs)

    def compute_loss(upstream):
        outputs = layer(ops.convert_to_tensor(model.inputs_weight), **call_arguments)
        return ops.sum(upstream * ops.cast(outputs, "float32")), outputs

    # The first momentum is minus the gradient exactly, where the change of a weight would be
    # rounded to the weight's own precision.
    optimizer = keras.optimizers.SGD(learning_rate=1.0, momentum=0.5)
    _, outputs = gradient_step(compute_loss, model, optimizer)(upstream.astype("float32"))
    gradients = {
        variable.name: -ops.convert_to_numpy(momentum)
        for variable, momentum in zip(model.trainable_variables, optimizer.momentums, strict=True)
    }
    return ops.convert_to_numpy(outputs), gradients


class _TrainableInputs(keras.Model):
    def __init__(self, layer, inputs):
        super().__init__()
        self.layer = layer
        self.inputs_weight = self.add_weight(
            name="inputs", shape=inputs.shape, initializer="zeros", autocast=False
        )
        self.inputs_weight.assign(inputs)
        layer(inputs[:1])  # inference, which builds the weights and moves no state
        self.built = True
