"""One training step, written once for TensorFlow, JAX and PyTorch.

    def compute_loss(images, labels):
        return loss_function(labels, model(images, training=True))

    step = gradient_step(compute_loss, model, optimizer)
    loss = step(images, labels)

Everything that differs between the backends is in the three functions at the end of this
file, and for PyTorch in torch_graph.py. Elsewhere a recipe is plain Keras.
"""

import keras
from keras import ops, tree


def gradient_step(compute_loss, model, optimizer, reads=()):
    """Makes a function that moves a model's weights one optimizer step down a loss.

    The step does what Keras's own ``train_on_batch`` does, to the bit (except that an embedding
    on TensorFlow takes the steps that it takes on JAX and PyTorch). On JAX it is compiled, on
    TensorFlow it is a graph, and on PyTorch its operations are recorded and replayed. With
    ``model.jit_compile = True`` before, they are compiled on TensorFlow (XLA) and PyTorch
    (Inductor) too, which takes longer to start, and rounds otherwise than ``train_on_batch``
    without it: to about 1e-6 a step.

    Several networks that train each other, as in a GAN, take one step each:

        step = gradient_step(discriminator_loss, discriminator, optimizer, reads=[generator])

    Args:
        compute_loss: function of one batch that returns a scalar loss, or a pair of it and
            auxiliary tensors in any nest of dicts, lists and tuples. It calls models with
            ``training=True`` itself (a plain ``model(x)`` drops nothing and moves no
            batch-norm statistics) and adds ``sum(model.losses)`` where the model has
            regularizers. It is traced: no NumPy and no Python ``if`` on the values of tensors,
            and what else Python does in it, such as counting, it does in the first steps only.
        model: the ``keras.Model`` whose weights the step trains, or a list of them. The weights
            that are trainable now are trained: after freezing or unfreezing layers, make a new
            step and a new optimizer. On JAX each step gives up their old arrays, as ``fit`` does:
            what is to be kept, ``ops.copy``.
        optimizer: a ``keras.optimizers.Optimizer`` of this step's own. A loss scale that it has
            is applied; under ``mixed_float16``, whose small gradients would be rounded to zero,
            it gets a dynamic one, as ``compile`` gives it.
        reads: what else ``compute_loss`` reads: models, layers, metrics, seed generators or
            variables. They are read afresh at every step, and may be assigned to, but they are
            not trained.

    Returns:
        ``step(*batch)``, which takes arrays or tensors and returns what ``compute_loss``
        returned, on the device. Losses are those before the update. ``step.variables`` is the
        state
        that it carries from call to call, which a checkpoint must hold: what it trains, the
        optimizer's variables, and what ``compute_loss`` reads, such as statistics and seeds.
        ``step.optimizer`` is what it moves the weights with. It is compiled at the first call:
        until then a schedule can be assigned to ``step.optimizer.learning_rate``.

    Raises:
        ValueError: a model is not built or has nothing to train. At the first step:
            ``compute_loss`` reads a variable that is neither trained nor declared in ``reads``
            (JAX would freeze its value into the compiled step), assigns to a weight that the
            step trains, or returns a loss that is no scalar; or the optimizer already belongs
            to other weights.
    """
    return _make_step(compute_loss, model, optimizer, reads, stacked=False)


def gradient_steps(compute_loss, model, optimizer, reads=()):
    """As ``gradient_step``, for several batches in one dispatch.

        steps = gradient_steps(compute_loss, model, optimizer)
        for batches in run.batches(train, stack=10):
            run.log(loss=steps(*batches))

    The steps are those of ``gradient_step``, one after another. On a GPU, where starting a step of
    a small model takes longer than computing it, they are one loop on the device. On a CPU, where
    XLA computes convolutions 5 to 30 times slower in a loop, JAX starts them one by one; PyTorch
    does so everywhere.

    Args:
        compute_loss, model, optimizer, reads: those of ``gradient_step``. The loss is of one batch.

    Returns:
        ``steps(*batches)``, whose arrays have the batches along a new first axis, such as
        (10, B, H, W, C). What ``compute_loss`` returned of each comes stacked likewise. Each
        number of batches is compiled anew.
    """
    return _make_step(compute_loss, model, optimizer, reads, stacked=True)


def _make_step(compute_loss, model, optimizer, reads, stacked):
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    for each in models:
        if not each.built:
            raise ValueError(
                f"model {each.name!r} has no weights yet: call it on a batch, or build() it, "
                f"before gradient_step."
            )
    trained = _unique(variable for each in models for variable in each.trainable_variables)
    if not trained:
        names = ", ".join(repr(each.name) for each in models)
        raise ValueError(f"nothing to train: {names} has no trainable weights.")
    half = any(each.dtype_policy.name == "mixed_float16" for each in models)
    if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    known = {id(variable) for variable in trained}
    state = _unique(
        variable
        for source in [*models, *reads]
        for variable in _variables(source)
        if id(variable) not in known
    )
    optimizer.build(trained)
    own = {id(variable) for variable in optimizer.variables}
    if any(id(variable) in own for variable in state):
        raise ValueError(
            "reads names the optimizer that this step moves: read its variables before or after "
            "the step."
        )
    make_step = {"tensorflow": _tensorflow_step, "jax": _jax_step, "torch": _torch_step}
    make = make_step[keras.backend.backend()]
    step = make(compute_loss, models, trained, state, optimizer, stacked)
    if stacked:
        step = _check_stacks(step)
    step.variables = [*trained, *optimizer.variables, *state]
    step.optimizer = optimizer
    return step


def _check_stacks(steps):
    def checked(*batches):
        counts = {len(array) for array in tree.flatten(batches)}
        if len(counts) != 1:
            raise ValueError(
                f"stacked batches must have one number of batches, got arrays of {sorted(counts)}."
            )
        return steps(*batches)

    return checked


class _DeclaredVariables(keras.StatelessScope):
    """Inside, variables have the given values, and only the declared ones exist.

    What is assigned to is kept in ``updated``; the variables themselves do not change.
    """

    def __init__(self, trained, trained_values, state, state_values):
        super().__init__(collect_losses=True, initialize_variables=False)
        variables, values = [*trained, *state], [*trained_values, *state_values]
        # Set here and not by the base class, which would copy each value into a tensor.
        self.state_mapping = {
            id(variable): value for variable, value in zip(variables, values, strict=True)
        }
        self._trained = {id(variable) for variable in trained}
        self.updated = {}

    def get_current_value(self, variable):
        value = self.state_mapping.get(id(variable))
        if value is None:
            raise ValueError(
                f"compute_loss reads the variable {variable.path!r}, which this step neither "
                f"trains nor declares: name its model, layer, metric or seed generator in "
                f"gradient_step(..., reads=[...])."
            )
        return value

    def add_update(self, update):
        variable, value = update
        self.get_current_value(variable)
        if id(variable) in self._trained:
            raise ValueError(
                f"compute_loss assigns to the weight {variable.path!r}, which this step trains: "
                f"assign to it after the step."
            )
        self.state_mapping[id(variable)] = value
        self.updated[id(variable)] = value

    def new_values(self, state):
        """{position in ``state``: new value} of the variables that were assigned to."""
        return {
            position: self.updated[id(variable)]
            for position, variable in enumerate(state)
            if id(variable) in self.updated
        }


def _variables(source):
    if isinstance(source, keras.Variable):
        return [source]
    if isinstance(source, keras.random.SeedGenerator):
        return [source.state]
    if not hasattr(source, "variables"):
        raise ValueError(
            f"reads takes models, layers, metrics, seed generators and variables, got {source!r}."
        )
    return source.variables


def _unique(variables):
    return list({id(variable): variable for variable in variables}.values())


def _scalar_loss(outputs):
    """The loss of what ``compute_loss`` returned: itself, or the first of a pair."""
    loss = outputs[0] if isinstance(outputs, tuple) else outputs
    if tuple(loss.shape) != ():
        raise ValueError(
            f"compute_loss must return a scalar loss, got shape {tuple(loss.shape)}: take its mean."
        )
    return loss


def _tensorflow_step(compute_loss, models, trained, state, optimizer, stacked):
    import tensorflow as tf

    # Like fit: XLA where there is a GPU and every layer supports it, a plain graph otherwise.
    jit_compile = all(model.jit_compile for model in models)

    # A call of its own, and not a part of the step, so that it is over before anything is assigned.
    # TensorFlow should see to that itself, but where the loss is linear in the outputs, its graph
    # rewriting (dependency_optimization, in 2.21) lets a gradient read weights that the optimizer
    # has already moved. (Control dependencies would do too, at an edge from each gradient to each
    # operation of the optimizer: 450 MiB for the 150 weights of a ViT.)
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def differentiate(trained_values, state_values, batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained_values)
            with _DeclaredVariables(trained, trained_values, state, state_values) as scope:
                outputs = compute_loss(*batch)
            loss = optimizer.scale_loss(_scalar_loss(outputs))
        # An embedding's gradient comes as rows, and a row as often as its token. Keras's Adam and
        # RMSprop (3.15) would square each of them for itself, and not their sum: make it one table.
        gradients = [
            gradient if gradient is None else tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(loss, trained_values)
        ]
        return outputs, gradients, scope.new_values(state)

    def step(batch):
        trained_values = [tf.convert_to_tensor(variable.value) for variable in trained]
        state_values = [tf.convert_to_tensor(variable.value) for variable in state]
        outputs, gradients, new_state = differentiate(trained_values, state_values, batch)
        for position, value in new_state.items():
            state[position].assign(value)
        optimizer.apply(gradients, trained)
        return outputs

    def steps(batches):
        first = tree.map_structure(lambda tensor: tensor[0], batches)
        outputs = tf.function(step, autograph=False).get_concrete_function(first).structured_outputs
        return tf.map_fn(
            step,
            batches,
            fn_output_signature=tf.nest.map_structure(tf.type_spec_from_value, outputs),
            parallel_iterations=1,
        )

    compiled_step = tf.function(
        steps if stacked else step,
        jit_compile=jit_compile,
        autograph=False,
        reduce_retracing=True,
    )
    return lambda *batch: compiled_step(tree.map_structure(ops.convert_to_tensor, batch))


def _jax_step(compute_loss, models, trained, state, optimizer, stacked):
    import jax

    def pure_step(trained_values, optimizer_values, state_values, batch):
        def loss_and_outputs(trained_values):
            with _DeclaredVariables(trained, trained_values, state, state_values) as scope:
                outputs = compute_loss(*batch)
            with keras.StatelessScope(zip(optimizer.variables, optimizer_values, strict=True)):
                loss = optimizer.scale_loss(_scalar_loss(outputs))
            return loss, (outputs, scope.new_values(state))

        gradients, (outputs, new_state) = jax.grad(loss_and_outputs, has_aux=True)(trained_values)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # Its apply() leaks tracers; its stateless_apply() does not.
            trained_values, optimizer_values = optimizer.stateless_apply(
                optimizer_values, gradients, trained_values
            )
            return outputs, [*trained_values, *optimizer_values], new_state
        updated = [*trained, *optimizer.variables]
        values = [*trained_values, *optimizer_values]
        # apply() and not stateless_apply(), which takes another model's optimizer in silence.
        with keras.StatelessScope(zip(updated, values, strict=True)) as scope:
            optimizer.apply(gradients, trained)
        return outputs, [scope.get_current_value(variable) for variable in updated], new_state

    def pure_steps(trained_values, optimizer_values, state_values, batches):
        def next_step(values, batch):
            outputs, new_values, new_state = pure_step(*values, batch)
            state_values = [new_state.get(index, value) for index, value in enumerate(values[2])]
            return (new_values[: len(trained)], new_values[len(trained) :], state_values), outputs

        values, outputs = jax.lax.scan(
            next_step, (trained_values, optimizer_values, state_values), batches
        )
        return outputs, [*values[0], *values[1]], dict(enumerate(values[2]))

    one_by_one = stacked and jax.default_backend() == "cpu"
    # The old weights and moments are given up, so that the new ones need no second copy.
    compiled_step = jax.jit(
        pure_steps if stacked and not one_by_one else pure_step, donate_argnums=(0, 1)
    )

    def step(*batch):
        outputs, new_values, new_state = compiled_step(
            [variable.value for variable in trained],
            [variable.value for variable in optimizer.variables],
            [variable.value for variable in state],
            batch,
        )
        for variable, value in zip([*trained, *optimizer.variables], new_values, strict=True):
            variable.assign(value)
        for position, value in new_state.items():
            state[position].assign(value)
        return outputs

    return _one_by_one(step, jax.numpy.stack) if one_by_one else step


def _torch_step(compute_loss, models, trained, state, optimizer, stacked):
    import torch

    from recipes.training.torch_graph import record

    jit_compile = all(model.jit_compile for model in models)
    updated = [*trained, *optimizer.variables]

    def differentiate(trained_values, state_values, batch):
        with torch.enable_grad():
            with _DeclaredVariables(trained, trained_values, state, state_values) as scope:
                outputs = compute_loss(*batch)
            loss = optimizer.scale_loss(_scalar_loss(outputs))
        gradients = torch.autograd.grad(loss, trained_values, allow_unused=True)
        outputs = tree.map_structure(lambda output: output.detach(), outputs)
        return outputs, gradients, scope.new_values(state)

    def differentiate_anew(trained_values, state_values, batch):
        # Recorded, the weights are arguments like all others, and not PyTorch's parameters.
        trained_values = [value.detach().requires_grad_() for value in trained_values]
        return differentiate(trained_values, state_values, batch)

    def update(values, gradients):
        with keras.StatelessScope(zip(updated, values, strict=True)) as scope:
            optimizer.apply(gradients, trained)
        for variable, value in zip(updated, values, strict=True):
            new = scope.get_current_value(variable)
            if new is not value:
                value.copy_(new)

    programs = {}  # kind of batch: what was recorded for it, None where it cannot be

    def step(*batch):
        tensors = [ops.convert_to_tensor(array) for array in tree.flatten(batch)]
        layout = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)
        values = [variable.value for variable in updated]
        trained_values = values[: len(trained)]
        state_values = [variable.value for variable in state]
        with torch.no_grad():
            if layout not in programs:
                arguments = (trained_values, state_values, tree.pack_sequence_as(batch, tensors))
                programs[layout] = record(differentiate_anew, arguments, jit_compile)
            program = programs[layout]
            if program is not None:
                outputs, gradients, new_state = program(*trained_values, *state_values, *tensors)
            else:
                batch = tree.pack_sequence_as(batch, tensors)
                outputs, gradients, new_state = differentiate(trained_values, state_values, batch)
            for position, value in new_state.items():
                state[position].assign(value)
            if "update" not in programs:
                programs["update"] = record(update, (values, gradients), jit_compile)
            program = programs["update"]
            if program is not None:
                program(*values, *gradients)
            else:
                optimizer.apply(gradients, trained)
        return outputs

    return _one_by_one(step, torch.stack) if stacked else step


def _one_by_one(step, stack):
    """``step`` for batches along a first axis; ``stack`` puts its outputs along one."""

    def steps(*batches):
        outputs = [
            step(*tree.map_structure(lambda array, index=index: array[index], batches))
            for index in range(len(tree.flatten(batches)[0]))
        ]
        return tree.map_structure(lambda *tensors: stack(tensors), *outputs)

    return steps
