"""PyTorch's operations of a training step, recorded once and replayed.

Keras on PyTorch runs as Python, layer by layer, in every step; gradient_step records the
operations that this comes down to ("aten", forward and backward) and replays those: the same
kernels on the same numbers, without Keras between them. Before that, rewritings that change no bit
of the result take out what costs most on a CPU (``python -m benchmarks training_step``):

    what Keras, or PyTorch's differentiation, does            instead
    copies to (B, C, H, W) and back before a convolution      at most one copy
    max pooling in (B, C, H, W), 12 times slower on a CPU     in (B, H, W, C) memory
    T zero tensors for the gradients of T slices, summed up   one stack of the gradients
    a mean's gradient expanded, then divided                  divided, then expanded
    x * gradient for each x of x * x                          once
    constants, copies and views that change nothing           nothing
"""

import torch
from keras import tree
from torch.fx.experimental.proxy_tensor import make_fx

_aten = torch.ops.aten
_CHANNELS_LAST, _CONTIGUOUS = torch.channels_last, torch.contiguous_format


def record(function, arguments, jit_compile=False):
    """Records the PyTorch operations of ``function(*arguments)``.

    Args:
        function: takes and returns nests of tensors; it may also change its arguments in place.
        arguments: its arguments, for their shapes, dtypes, strides and devices.
        jit_compile: whether PyTorch's compiler, too, works on what is recorded.

    Returns:
        A function that does what ``function`` does, of the tensors in ``arguments`` as
        ``keras.tree.flatten`` gives them; None where what is done is decided by values or by what
        is outside the arguments: where Python asks for a value, as an ``if`` does, a tensor comes
        from elsewhere, or a random generator is made on the way, as ``keras.random`` makes it.
    """

    def flat_function(*tensors):
        return function(*tree.pack_sequence_as(arguments, tensors))

    try:
        # "fake": nothing is computed, and a value that Python asks for is an error.
        module = make_fx(flat_function, tracing_mode="fake")(*tree.flatten(arguments))
    except Exception:
        # Also where the function itself is wrong: its caller sees that on calling it as it is.
        return None
    graph = module.graph
    if any(node.kwargs.get("generator") is not None for node in graph.nodes):
        return None
    _compute_constants(graph)
    if not any(_is_mutable(node) for node in graph.nodes):
        if not _has_predicted_layouts(module, tree.flatten(arguments)):
            return None
        for rewrite in _REWRITINGS:
            rewrite(graph)
    graph.eliminate_dead_code()
    module.recompile()
    if not jit_compile:
        return module.forward
    # Around a convolution the compiler takes (B, H, W, C) tensors for (B, C, H, W), and lays out
    # what is behind them so that it is gathered number by number: ResNet-20 takes 1.3 times as
    # long. Without that, though, it copies around max pooling.
    pools = bool(_calls(graph, _aten.max_pool2d_with_indices.default))
    return torch.compile(module, options={"layout_optimization": pools})


class _WrongLayout(Exception):
    pass


class _LayoutCheck(torch.fx.Interpreter):
    def run_node(self, node):
        result = super().run_node(node)
        predicted = _tensor(node)
        is_tensor = node.op == "call_function" and predicted is not None
        if is_tensor and _layout(result) != _layout(predicted):
            raise _WrongLayout
        return result


def _has_predicted_layouts(module, tensors):
    """Whether all memory is laid out as the rewritings, and the recording itself, take it to be.

    They go by the rules that PyTorch has for each operation beside its kernel, and not all of
    these rules are right (in 2.13, that of replication_pad2d_backward is not).
    """
    try:
        _LayoutCheck(module).run(*tensors)
    except _WrongLayout:
        return False
    return True


def _is_mutable(node):
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _calls(graph, target):
    return graph.find_nodes(op="call_function", target=target)


def _tensor(node):
    """What is known of a node's tensor, or None where it is something else."""
    value = node.meta.get("val") if isinstance(node, torch.fx.Node) else None
    return value if isinstance(value, torch.Tensor) else None


def _layout(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _replace(node, other):
    node.replace_all_uses_with(other, delete_user_cb=lambda user: user is not other)


def _clone(graph, after, tensor, memory_format):
    with graph.inserting_after(after):
        clone = graph.call_function(
            _aten.clone.default, (tensor,), {"memory_format": memory_format}
        )
    clone.meta["val"] = torch.empty_like(_tensor(tensor), memory_format=memory_format)
    return clone


def _compute_constants(graph):
    """Numbers that depend on no argument, such as an example's size, are computed once, here."""
    module = graph.owning_module
    for node in graph.nodes:
        tensor = _tensor(node)
        if not isinstance(node.target, torch._ops.OpOverload) or tensor is None:
            continue
        inputs = node.all_input_nodes
        is_random = torch.Tag.nondeterministic_seeded in node.target.tags
        if tensor.numel() > 8 or is_random or any(each.op != "get_attr" for each in inputs):
            continue
        if any(_is_mutable(user) for user in node.users):
            continue
        values = {each: getattr(module, each.target) for each in inputs}
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), values.__getitem__)
        name = f"_computed_{node.name}"
        module.register_buffer(name, node.target(*args, **kwargs))
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        constant.meta["val"] = tensor
        _replace(node, constant)


def _drop_chained_copies(graph):
    """A copy of a copy becomes a copy of the original."""
    for clone in _calls(graph, _aten.clone.default):
        while clone.kwargs and clone.args[0].target is _aten.clone.default:
            clone.args = (clone.args[0].args[0],)


def _pool_channels_last(graph):
    """Takes max pooling from a (B, C, H, W) copy to the (B, H, W, C) memory that was copied.

    The result is copied to where it was before, so that sums over it keep their order; so is its
    gradient, unless it goes straight into a convolution's, which wants (B, H, W, C) memory.
    """

    def goes_into_convolutions(node):
        return all(
            goes_into_convolutions(user)
            if user.target is _aten.permute.default
            else user.target is _aten.convolution_backward.default and user.args[0] is node
            for user in node.users
        )

    for pool in _calls(graph, _aten.max_pool2d_with_indices.default):
        copy, *window = pool.args
        if copy.target is not _aten.clone.default or not _tensor(copy).is_contiguous():
            continue
        original = copy.args[0]
        if not _tensor(original).is_contiguous(memory_format=_CHANNELS_LAST):
            continue
        pool.args = (original, *window)
        for item in list(pool.users):
            item.meta["val"] = _tensor(item).contiguous(memory_format=_CHANNELS_LAST)
            if item.args[1] == 0:
                _replace(item, _clone(graph, item, item, _CONTIGUOUS))
                continue
            for backward in list(item.users):
                gradient, _, *rest = backward.args
                # PyTorch would make this copy by itself, 10 times slower.
                gradient = _clone(graph, gradient, gradient, _CHANNELS_LAST)
                backward.args = (gradient, original, *rest)
                if not goes_into_convolutions(backward):
                    backward.meta["val"] = _tensor(original)
                    _replace(backward, _clone(graph, backward, backward, _CONTIGUOUS))


_ELEMENTWISE = {_aten.add.Tensor, _aten.mul.Tensor}


def _expand_late(graph):
    """Divides a value before it is expanded to a tensor and not after: a mean's gradient."""
    for division in _calls(graph, _aten.div.Scalar):
        expand = division.args[0]
        if expand.target is not _aten.expand.default or not all(
            user.target in _ELEMENTWISE
            and all(
                _tensor(argument) is not None and _tensor(argument).shape == _tensor(division).shape
                for argument in user.args
            )
            for user in division.users
        ):
            continue
        value, shape = expand.args
        with graph.inserting_before(division):
            small = graph.call_function(_aten.div.Scalar, (value, division.args[1]))
            large = graph.call_function(_aten.expand.default, (small, shape))
        small.meta["val"] = _tensor(value)
        large.meta["val"] = _tensor(expand)
        _replace(division, large)


def _merge_equal_products(graph):
    """The two gradients of x * x are one product."""
    products = {}
    for product in _calls(graph, _aten.mul.Tensor):
        if any(_tensor(factor) is None for factor in product.args):
            continue  # by a number, of which 1, 1.0 and True are the same to Python
        first = products.setdefault(product.args, product)
        if first is not product:
            product.replace_all_uses_with(first)


def _stack_gradients_of_slices(graph):
    """Sums of gradients, each zero but for one slice, become one stack where no slice is missing.

    So a loop over time costs its length, and not its square.
    """

    def slices(node, is_root=False):
        """The slices' gradients that a sum consists of, or None."""
        found, nodes = [], [node]
        while nodes:
            node = nodes.pop()
            if not is_root and len(getattr(node, "users", ())) != 1:
                return None
            is_root = False
            if node.target is _aten.select_backward.default:
                found.append(node)
            elif node.target is _aten.add.Tensor and not node.kwargs:
                nodes += node.args
            else:
                return None
        return found

    for total in reversed(_calls(graph, _aten.add.Tensor)):
        found = slices(total, is_root=True)
        if not found or len({(tuple(node.args[1]), node.args[2]) for node in found}) != 1:
            continue
        _, shape, axis, _ = found[0].args
        gradients = {node.args[3] % shape[axis]: node.args[0] for node in found}
        if len(gradients) != len(found) or len(found) != shape[axis]:
            continue
        with graph.inserting_before(total):
            stack = graph.call_function(
                _aten.stack.default, ([gradients[index] for index in sorted(gradients)], axis)
            )
        stack.meta["val"] = _tensor(total)
        _replace(total, stack)


def _drop_what_changes_nothing(graph):
    """Copies, views and casts to what a tensor is already."""
    changeless = {
        _aten.alias.default,
        _aten.clone.default,
        _aten.detach.default,
        _aten.expand.default,
        _aten.lift_fresh_copy.default,
        _aten.permute.default,
        _aten._to_copy.default,
        _aten.view.default,
    }

    for node in graph.nodes:
        if node.target is _aten.clone.default and not node.kwargs:
            continue  # somebody wants a tensor of his own
        if node.op == "call_function" and node.target in changeless:
            before, after = _tensor(node.args[0]), _tensor(node)
            if before is not None and _layout(before) == _layout(after):
                node.replace_all_uses_with(node.args[0])


_REWRITINGS = (
    _drop_chained_copies,
    _pool_channels_last,
    _expand_late,
    _merge_equal_products,
    _stack_gradients_of_slices,
    _drop_what_changes_nothing,
)
