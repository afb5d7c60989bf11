"""A function of a model, compiled, for TensorFlow, JAX and PyTorch."""

import keras
from keras import ops, tree

# Of _product below: rows, numbers of a matrix, and its blocks.
_FEW, _LARGE, _MOST_BLOCKS = 8, 2**18, 64


def compiled(function, model):
    """What ``function(state, *arguments)`` does, compiled.

    Args:
        function: calls ``model`` in inference, on nests of tensors, and returns a nest. It is
            traced for each kind of shapes: no NumPy and no Python ``if`` on values.
        model: a built model, whose weights are read afresh in each call. Its layers may not
            assign to variables.

    Returns:
        A function of the same arguments, arrays or tensors, which gives up the memory of
        ``state``: it is not to be used again.
    """
    make = {"tensorflow": _in_tensorflow, "jax": _in_jax, "torch": _in_torch}
    call = make[keras.backend.backend()](function, model)
    return lambda *arguments: call(*tree.map_structure(ops.convert_to_tensor, arguments))


def _with_values(function, model):
    """``function``, whose first argument is now the values of the variables."""

    def pure(values, *arguments):
        with keras.StatelessScope(zip(model.variables, values, strict=True)):
            return function(*arguments)

    return pure


def _values(model):
    return [variable.value for variable in model.variables]


def _in_tensorflow(function, model):
    import tensorflow as tf

    return tf.function(function, autograph=False)


def _in_jax(function, model):
    import jax

    call = jax.jit(_with_values(function, model), donate_argnums=1)
    return lambda *arguments: call(_values(model), *arguments)


def _in_torch(function, model):
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.passes.dialect.common.cse_pass import CSEPass

    pure = _with_values(function, model)
    # What each layer computes alike, such as a mask, is computed once. That is right as only
    # arguments are written to, each at one place.
    without_repetition = CSEPass({torch.ops.aten.index_copy_})
    variables = model.variables
    programs = {}  # kind of arguments: the operations that Keras's Python comes down to

    def call(*arguments):
        values = [variable.value for variable in variables]
        tensors = tree.flatten(arguments)
        kind = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)
        with torch.inference_mode():
            if kind not in programs:

                def flat(*tensors):
                    there, here = tensors[: len(values)], tensors[len(values) :]
                    return pure(there, *tree.pack_sequence_as(arguments, here))

                module = make_fx(flat, tracing_mode="fake")(*values, *tensors)
                module = without_repetition(module).graph_module
                module.graph.eliminate_dead_code()
                for node in module.graph.nodes:
                    if node.target is torch.ops.aten.mm.default:
                        node.target = _product
                module.recompile()
                programs[kind] = module.forward
            return programs[kind](*values, *tensors)

    return call


def _product(rows, matrix):
    """(M, K) times (K, N), as ``torch.mm``, and by all threads also where the rows are few.

    Of these a processor only reads the matrix, and MKL reads it by one thread, slower than the
    memory would give it. Cut into blocks along the axis that leaves each in one piece, the matrix
    is a batch, of which each thread takes its share.
    """
    import torch

    by_rows, by_columns = matrix.is_contiguous(), matrix.T.is_contiguous()
    size = matrix.shape[0 if by_rows else 1]
    counts = range(torch.get_num_threads(), _MOST_BLOCKS + 1)
    count = next((each for each in counts if size % each == 0), 1)
    if (
        count == 1 or len(rows) > _FEW or matrix.numel() < _LARGE or not (by_rows or by_columns)
        or matrix.device.type != "cpu" or matrix.dtype != torch.float32
        or not torch.backends.mkl.is_available()
    ):  # fmt: skip
        return torch.mm(rows, matrix)
    if by_rows:  # a block of rows has a part of each sum
        parts = rows.unflatten(1, (count, -1)).transpose(0, 1)  # (count, M, K / count)
        return torch.bmm(parts, matrix.unflatten(0, (count, -1))).sum(0)
    columns = matrix.T.unflatten(0, (count, -1)).mT  # (count, K, N / count)
    products = torch.bmm(rows.expand(count, -1, -1), columns)
    return products.transpose(0, 1).flatten(1)
