"""Where layers that do nothing in inference, or at a rate of zero, stand in a model's graph.

What a model computes without them, tests/parity compares with originals: all that is left to tell
is what each of them takes, and who takes what it gives.
"""


def _sources(node):
    """Names of the operations whose outputs lie in a node of a model's configuration."""
    if isinstance(node, dict):
        if "keras_history" in node:
            return [node["keras_history"][0]]
        node = list(node.values())
    nested = node if isinstance(node, (list, tuple)) else ()
    return [name for each in nested for name in _sources(each)]


def placement(model, *kinds):
    """{name of a layer of ``kinds``: (all that it takes, all that take its output, sorted)}.

    Layers are told by their names, and other operations, such as Add, by their kinds.
    """
    configs = model.get_config()["layers"]
    layers = {layer.name for layer in model.layers}
    told = {
        each["name"]: each["name"] if each["name"] in layers else each["class_name"]
        for each in configs
    }
    takes = {each["name"]: _sources(each["inbound_nodes"]) for each in configs}
    return {
        layer.name: (
            [told[name] for name in takes[layer.name]],
            sorted(told[name] for name, taken in takes.items() if layer.name in taken),
        )
        for layer in model.layers
        if type(layer) in kinds
    }
