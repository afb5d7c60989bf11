"""What the layers of convolutional networks are called in other people's checkpoints.

The syntax of the patterns is explained in ``zoo.weights``.
"""

from zoo.convolutional import mobilenet_v2, mobilenet_v3, vgg

_ALEXNET = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "output": "classifier.6",
}


def _vgg_features(depths, batch_norm):
    """{layer: "features.5"}: PyTorch counts convolutions, norms, ReLUs and poolings."""
    names, index = {}, 0
    for stage, depth in enumerate(depths, start=1):
        for block in range(1, depth + 1):
            names[f"stage{stage}_block{block}_conv"] = f"features.{index}"
            if batch_norm:
                names[f"stage{stage}_block{block}_norm"] = f"features.{index + 1}"
            index += 3 if batch_norm else 2
        index += 1
    return names


_VGG_HEADS = {
    "torchvision": {"fc6": "classifier.0", "fc7": "classifier.3", "output": "classifier.6"},
    "timm": {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2", "output": "head.fc"},
}
_VGG = {
    f"vgg{layers}{'_bn' if batch_norm else ''}": {
        saved_by: {**_vgg_features(depths, batch_norm), **head}
        for saved_by, head in _VGG_HEADS.items()
    }
    for layers, depths in vgg.DEPTHS.items()
    for batch_norm in (False, True)
}

_GOOGLENET = {
    "conv{i}_conv": "conv{i}.conv",
    "conv{i}_norm": "conv{i}.bn",
    "inception{i}{a:a|b|c|d|e}_branch1_conv": "inception{i}{a}.branch1.conv",
    "inception{i}{a:a|b|c|d|e}_branch1_norm": "inception{i}{a}.branch1.bn",
    "inception{i}{a:a|b|c|d|e}_branch{n}_reduce_conv": "inception{i}{a}.branch{n}.0.conv",
    "inception{i}{a:a|b|c|d|e}_branch{n}_reduce_norm": "inception{i}{a}.branch{n}.0.bn",
    "inception{i}{a:a|b|c|d|e}_branch{n}_conv": "inception{i}{a}.branch{n}.1.conv",
    "inception{i}{a:a|b|c|d|e}_branch{n}_norm": "inception{i}{a}.branch{n}.1.bn",
    "auxiliary{i}_conv": "aux{i}.conv.conv",
    "auxiliary{i}_norm": "aux{i}.conv.bn",
    "auxiliary{i}_dense": "aux{i}.fc1",
    "auxiliary{i}_output": "aux{i}.fc2",
    "output": "fc",
}

_RESNET = {
    "stem_conv": "conv1",
    "stem_norm": "bn1",
    "stage{s}_block{b}_conv{i}": "layer{s}.{b-1}.conv{i}",
    "stage{s}_block{b}_norm{i}": "layer{s}.{b-1}.bn{i}",
    "stage{s}_block{b}_shortcut_conv": "layer{s}.{b-1}.downsample.0",
    "stage{s}_block{b}_shortcut_norm": "layer{s}.{b-1}.downsample.1",
    "output": "fc",
}
# He et al.'s networks for CIFAR-10, as github.com/akamaster/pytorch_resnet_cifar10 saves them.
_RESNET_CIFAR = {**_RESNET, "output": "linear"}
_HF_BLOCK = "resnet.encoder.stages.{s-1}.layers.{b-1}"
_RESNET_TRANSFORMERS = {
    "stem_conv": "resnet.embedder.embedder.convolution",
    "stem_norm": "resnet.embedder.embedder.normalization",
    "stage{s}_block{b}_conv{i}": _HF_BLOCK + ".layer.{i-1}.convolution",
    "stage{s}_block{b}_norm{i}": _HF_BLOCK + ".layer.{i-1}.normalization",
    "stage{s}_block{b}_shortcut_conv": _HF_BLOCK + ".shortcut.convolution",
    "stage{s}_block{b}_shortcut_norm": _HF_BLOCK + ".shortcut.normalization",
    "output": "classifier.1",
}
_SE_RESNET = {
    "stage{s}_block{b}_squeeze": "layer{s}.{b-1}.se.fc1",
    "stage{s}_block{b}_excite": "layer{s}.{b-1}.se.fc2",
    **_RESNET,
}

_DENSENET = {
    "stem_conv": "features.conv0",
    "stem_norm": "features.norm0",
    "block{b}_layer{i}_norm{n}": "features.denseblock{b}.denselayer{i}.norm{n}",
    "block{b}_layer{i}_conv{n}": "features.denseblock{b}.denselayer{i}.conv{n}",
    "transition{b}_norm": "features.transition{b}.norm",
    "transition{b}_conv": "features.transition{b}.conv",
    "norm": "features.norm5",
    "output": "classifier",
}
# Names of the files that torchvision gives away, which its code translates.
_DENSENET_OLD = {
    **_DENSENET,
    "block{b}_layer{i}_norm{n}": "features.denseblock{b}.denselayer{i}.norm.{n}",
    "block{b}_layer{i}_conv{n}": "features.denseblock{b}.denselayer{i}.conv.{n}",
}


def _numbered_blocks(stages, names):
    """Names of blocks that are counted through all stages.

    Args:
        stages: for each stage, for each of its blocks, whether it expands and whether it excites.
        names: as ``names(expands, excites)`` gives them: {layer: name within the block}.
    """
    blocks = (
        (f"stage{stage}_block{index}", names(*block))
        for stage, blocks in enumerate(stages, start=1)
        for index, block in enumerate(blocks, start=1)
    )
    return {
        f"{ours}_{layer}": f"features.{number}.{theirs}"
        for number, (ours, block) in enumerate(blocks, start=1)
        for layer, theirs in block.items()
    }


def _mobilenet_v2_block(expands, _):
    return {
        "expand_conv": "conv.0.0",
        "expand_norm": "conv.0.1",
        "depthwise_conv": f"conv.{expands:d}.0",
        "depthwise_norm": f"conv.{expands:d}.1",
        "project_conv": f"conv.{1 + expands}",
        "project_norm": f"conv.{2 + expands}",
    }


def _mobilenet_v3_block(expands, excites):
    return {
        "expand_conv": "block.0.0",
        "expand_norm": "block.0.1",
        "depthwise_conv": f"block.{expands:d}.0",
        "depthwise_norm": f"block.{expands:d}.1",
        "squeeze": f"block.{1 + expands}.fc1",
        "excite": f"block.{1 + expands}.fc2",
        "project_conv": f"block.{1 + expands + excites}.0",
        "project_norm": f"block.{1 + expands + excites}.1",
    }


_MOBILENET_V2 = {
    "stem_conv": "features.0.0",
    "stem_norm": "features.0.1",
    **_numbered_blocks(
        [[(expansion > 1, False)] * depth for expansion, _, depth, _ in mobilenet_v2.STAGES],
        _mobilenet_v2_block,
    ),
    "head_conv": "features.18.0",
    "head_norm": "features.18.1",
    "output": "classifier.1",
}


def _mobilenet_v3(stages):
    expanded = [
        # The first block is the only one that has as many maps as its input.
        [(stage + index > 0, block[3]) for index, block in enumerate(blocks)]
        for stage, blocks in enumerate(stages)
    ]
    last = sum(map(len, stages)) + 1
    return {
        "stem_conv": "features.0.0",
        "stem_norm": "features.0.1",
        **_numbered_blocks(expanded, _mobilenet_v3_block),
        "head_conv": f"features.{last}.0",
        "head_norm": f"features.{last}.1",
        "dense": "classifier.0",
        "output": "classifier.3",
    }


# timm's MobileNets and EfficientNets share their blocks; one without expansion counts from there.
_TIMM_BLOCKS = {
    "stem_conv": "conv_stem",
    "stem_norm": "bn1",
    "stage1_block{b}_depthwise_conv": "blocks.0.{b-1}.conv_dw",
    "stage1_block{b}_depthwise_norm": "blocks.0.{b-1}.bn1",
    "stage1_block{b}_project_conv": "blocks.0.{b-1}.conv_pw",
    "stage1_block{b}_project_norm": "blocks.0.{b-1}.bn2",
    "stage{s}_block{b}_expand_conv": "blocks.{s-1}.{b-1}.conv_pw",
    "stage{s}_block{b}_expand_norm": "blocks.{s-1}.{b-1}.bn1",
    "stage{s}_block{b}_depthwise_conv": "blocks.{s-1}.{b-1}.conv_dw",
    "stage{s}_block{b}_depthwise_norm": "blocks.{s-1}.{b-1}.bn2",
    "stage{s}_block{b}_squeeze": "blocks.{s-1}.{b-1}.se.conv_reduce",
    "stage{s}_block{b}_excite": "blocks.{s-1}.{b-1}.se.conv_expand",
    "stage{s}_block{b}_project_conv": "blocks.{s-1}.{b-1}.conv_pwl",
    "stage{s}_block{b}_project_norm": "blocks.{s-1}.{b-1}.bn3",
    "head_conv": "conv_head",
    "head_norm": "bn2",
    "output": "classifier",
}


def _mobilenet_v3_timm(stages):
    return {
        **_TIMM_BLOCKS,
        "head_conv": f"blocks.{len(stages)}.0.conv",
        "head_norm": f"blocks.{len(stages)}.0.bn1",
        "dense": "conv_head",
    }


_EFFICIENTNET = {
    "stem_conv": "features.0.0",
    "stem_norm": "features.0.1",
    "stage1_block{b}_depthwise_conv": "features.1.{b-1}.block.0.0",
    "stage1_block{b}_depthwise_norm": "features.1.{b-1}.block.0.1",
    "stage1_block{b}_squeeze": "features.1.{b-1}.block.1.fc1",
    "stage1_block{b}_excite": "features.1.{b-1}.block.1.fc2",
    "stage1_block{b}_project_conv": "features.1.{b-1}.block.2.0",
    "stage1_block{b}_project_norm": "features.1.{b-1}.block.2.1",
    "stage{s}_block{b}_expand_conv": "features.{s}.{b-1}.block.0.0",
    "stage{s}_block{b}_expand_norm": "features.{s}.{b-1}.block.0.1",
    "stage{s}_block{b}_depthwise_conv": "features.{s}.{b-1}.block.1.0",
    "stage{s}_block{b}_depthwise_norm": "features.{s}.{b-1}.block.1.1",
    "stage{s}_block{b}_squeeze": "features.{s}.{b-1}.block.2.fc1",
    "stage{s}_block{b}_excite": "features.{s}.{b-1}.block.2.fc2",
    "stage{s}_block{b}_project_conv": "features.{s}.{b-1}.block.3.0",
    "stage{s}_block{b}_project_norm": "features.{s}.{b-1}.block.3.1",
    "head_conv": "features.8.0",
    "head_norm": "features.8.1",
    "output": "classifier.1",
}

_CONVNEXT = {"stem_conv": "features.0.0", "stem_norm": "features.0.1"}
for _stage in (1, 2, 3, 4):
    _odd = 2 * _stage - 1  # torchvision counts what halves the image, too
    _CONVNEXT |= {
        f"stage{_stage}_norm": f"features.{_odd - 1}.0",
        f"stage{_stage}_conv": f"features.{_odd - 1}.1",
        f"stage{_stage}_block{{b}}_depthwise": f"features.{_odd}.{{b-1}}.block.0",
        f"stage{_stage}_block{{b}}_norm": f"features.{_odd}.{{b-1}}.block.2",
        f"stage{_stage}_block{{b}}_expand": f"features.{_odd}.{{b-1}}.block.3",
        f"stage{_stage}_block{{b}}_project": f"features.{_odd}.{{b-1}}.block.5",
        f"stage{_stage}_block{{b}}_scale/gamma": f"features.{_odd}.{{b-1}}.layer_scale",
    }
_CONVNEXT |= {"norm": "classifier.0", "output": "classifier.2"}
_CONVNEXT_TIMM = {
    "stem_conv": "stem.0",
    "stem_norm": "stem.1",
    "stage{s}_norm": "stages.{s-1}.downsample.0",
    "stage{s}_conv": "stages.{s-1}.downsample.1",
    "stage{s}_block{b}_depthwise": "stages.{s-1}.blocks.{b-1}.conv_dw",
    "stage{s}_block{b}_norm": "stages.{s-1}.blocks.{b-1}.norm",
    "stage{s}_block{b}_expand": "stages.{s-1}.blocks.{b-1}.mlp.fc1",
    "stage{s}_block{b}_project": "stages.{s-1}.blocks.{b-1}.mlp.fc2",
    "stage{s}_block{b}_scale/gamma": "stages.{s-1}.blocks.{b-1}.gamma",
    "norm": "head.norm",
    "output": "head.fc",
}
_HF_STAGE = "convnext.encoder.stages.{s-1}"
_CONVNEXT_TRANSFORMERS = {
    "stem_conv": "convnext.embeddings.patch_embeddings",
    "stem_norm": "convnext.embeddings.layernorm",
    "stage{s}_norm": _HF_STAGE + ".downsampling_layer.0",
    "stage{s}_conv": _HF_STAGE + ".downsampling_layer.1",
    "stage{s}_block{b}_depthwise": _HF_STAGE + ".layers.{b-1}.dwconv",
    "stage{s}_block{b}_norm": _HF_STAGE + ".layers.{b-1}.layernorm",
    "stage{s}_block{b}_expand": _HF_STAGE + ".layers.{b-1}.pwconv1",
    "stage{s}_block{b}_project": _HF_STAGE + ".layers.{b-1}.pwconv2",
    "stage{s}_block{b}_scale/gamma": _HF_STAGE + ".layers.{b-1}.layer_scale_parameter",
    "norm": "convnext.layernorm",
    "output": "classifier",
}

TABLES = {
    "alexnet": {"torchvision": _ALEXNET},
    **_VGG,
    "googlenet": {"torchvision": _GOOGLENET},
    "resnet": {"torchvision and timm": _RESNET, "transformers": _RESNET_TRANSFORMERS},
    "resnet_cifar": {"pytorch_resnet_cifar10": _RESNET_CIFAR},
    "resnext": {"torchvision and timm": _RESNET},
    "se_resnet": {"timm": _SE_RESNET},
    "densenet": {"torchvision and timm": _DENSENET, "torchvision, old names": _DENSENET_OLD},
    "mobilenet_v2": {"torchvision": _MOBILENET_V2, "timm": _TIMM_BLOCKS},
    "mobilenet_v3_large": {
        "torchvision": _mobilenet_v3(mobilenet_v3.LARGE),
        "timm": _mobilenet_v3_timm(mobilenet_v3.LARGE),
    },
    "mobilenet_v3_small": {
        "torchvision": _mobilenet_v3(mobilenet_v3.SMALL),
        "timm": _mobilenet_v3_timm(mobilenet_v3.SMALL),
    },
    "efficientnet": {"torchvision": _EFFICIENTNET, "timm": _TIMM_BLOCKS},
    "convnext": {
        "torchvision": _CONVNEXT,
        "timm": _CONVNEXT_TIMM,
        "transformers": _CONVNEXT_TRANSFORMERS,
    },
    "unet": {"modules of the names here": {"{name:[^/]+}": "{name}"}},
}

# Tensors of training alone, which a model may do without: regular expressions of their names.
UNUSED = {"googlenet": r"aux[12]\..*"}
