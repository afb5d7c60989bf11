"""Every convolutional model at its paper's size: parameters to the unit, stages, depths, constants.

Models are built without memory for their weights, and compute nothing. All numbers are literals:
those of the papers' tables, and those of the originals whose checkpoints fit, torchvision 0.28 and
timm 1.0.31 (seresnet50).
"""

import math
import re

import keras
import pytest

import custom_layers
import zoo
from tests.unfilled import unfilled

# Trainable parameters, and moving statistics: a mean and a variance for each normalized map. Those
# of torchvision's and timm's models, which torchvision's documentation gives as num_params.
PARAMETERS = {
    "alexnet": (61_100_840, 0),
    # The paper's table 1 has 29, 50, 89 and 198 million.
    "convnext_tiny": (28_589_128, 0),
    "convnext_small": (50_223_688, 0),
    "convnext_base": (88_591_464, 0),
    "convnext_large": (197_767_336, 0),
    "densenet121": (7_978_856, 83_648),
    "densenet169": (14_149_480, 158_400),
    "densenet201": (20_013_928, 229_056),
    # Table 2: 5.3, 7.8, 9.2, 12, 19, 30, 43 and 66 million.
    "efficientnet_b0": (5_288_548, 42_016),
    "efficientnet_b1": (7_794_184, 62_048),
    "efficientnet_b2": (9_109_994, 67_568),
    "efficientnet_b3": (12_233_232, 87_296),
    "efficientnet_b4": (19_341_616, 125_200),
    "efficientnet_b5": (30_389_784, 172_736),
    "efficientnet_b6": (43_040_704, 224_432),
    "efficientnet_b7": (66_347_960, 310_720),
    "googlenet": (6_624_904, 14_560),
    "mobilenet_v2": (3_504_872, 34_112),
    # Table 3: 5.4 and 2.5 million.
    "mobilenet_v3_large": (5_483_032, 24_400),
    "mobilenet_v3_small": (2_542_856, 12_112),
    "resnet18": (11_689_512, 9_600),
    "resnet34": (21_797_672, 17_024),
    "resnet50": (25_557_032, 53_120),
    "resnet101": (44_549_160, 105_344),
    "resnet152": (60_192_808, 151_424),
    # He et al. 2015, table 6, has 0.27, 0.46, 0.66, 0.85 and 1.7 million. Convolutions without
    # bias, two weights for each normalized map: 464 in the stem; 4,672 n, 18,560 n - 4,608 and
    # 73,984 n - 18,432 in the stages; 650 in the output. That is 97,216 n - 21,926.
    "resnet20_cifar": (269_722, 1_376),
    "resnet32_cifar": (464_154, 2_272),
    "resnet44_cifar": (658_586, 3_168),
    "resnet56_cifar": (853_018, 4_064),
    "resnet110_cifar": (1_727_962, 8_096),
    "resnext50": (25_028_904, 68_224),  # the paper's table 1: 25.0 million
    "se_resnet50": (28_088_024, 53_120),
    # Of figure 1 with biases: 18,842,048 down to the bottom, 12,188,480 up again, 130 in the
    # output.
    "unet": (31_030_658, 0),
    # Table 2: 133, 133, 138 and 144 million, without batch normalization.
    "vgg11": (132_863_336, 0),
    "vgg11_bn": (132_868_840, 5_504),
    "vgg13": (133_047_848, 0),
    "vgg13_bn": (133_053_736, 5_888),
    "vgg16": (138_357_544, 0),
    "vgg16_bn": (138_365_992, 8_448),
    "vgg19": (143_667_240, 0),
    "vgg19_bn": (143_678_248, 11_008),
}
# The shape behind a layer, or behind the last of the layers whose names begin so.
RESNET_STEM = "image 224x224x3, stem_conv 112x112x64, stem_pool 56x56x64, "
BASIC = (
    RESNET_STEM + "stage1 56x56x64, stage2 28x28x128, stage3 14x14x256, stage4 7x7x512, pool 512, "
    "output 1000"
)
BOTTLENECK = (
    RESNET_STEM + "stage1 56x56x256, stage2 28x28x512, stage3 14x14x1024, stage4 7x7x2048, "
    "pool 2048, output 1000"
)
CIFAR = (
    "image 32x32x3, stem 32x32x16, stage1 32x32x16, stage2 16x16x32, stage3 8x8x64, pool 64, "
    "output 10"
)
VGG = (
    "image 224x224x3, stage1 112x112x64, stage2 56x56x128, stage3 28x28x256, stage4 14x14x512, "
    "stage5 7x7x512, pool 7x7x512, fc6 1x1x4096, fc7 4096, output 1000"
)
STAGES = {
    "alexnet": (
        "image 224x224x3, conv1 55x55x64, pool1 27x27x64, conv2 27x27x192, pool2 13x13x192, "
        "conv3 13x13x384, conv4 13x13x256, conv5 13x13x256, pool5 6x6x256, pool 6x6x256, "
        "fc6 1x1x4096, fc7 4096, output 1000"
    ),
    "convnext_tiny": (
        "image 224x224x3, stem 56x56x96, stage1 56x56x96, stage2 28x28x192, stage3 14x14x384, "
        "stage4 7x7x768, pool 768, output 1000"
    ),
    "convnext_small": (
        "image 224x224x3, stem 56x56x96, stage1 56x56x96, stage2 28x28x192, stage3 14x14x384, "
        "stage4 7x7x768, pool 768, output 1000"
    ),
    "convnext_base": (
        "image 224x224x3, stem 56x56x128, stage1 56x56x128, stage2 28x28x256, stage3 14x14x512, "
        "stage4 7x7x1024, pool 1024, output 1000"
    ),
    "convnext_large": (
        "image 224x224x3, stem 56x56x192, stage1 56x56x192, stage2 28x28x384, stage3 14x14x768, "
        "stage4 7x7x1536, pool 1536, output 1000"
    ),
    "densenet121": (
        "image 224x224x3, stem_conv 112x112x64, stem_pool 56x56x64, "
        "block1 56x56x256, transition1 28x28x128, block2 28x28x512, transition2 14x14x256, "
        "block3 14x14x1024, transition3 7x7x512, block4 7x7x1024, pool 1024, output 1000"
    ),
    "densenet169": (
        "image 224x224x3, stem_conv 112x112x64, stem_pool 56x56x64, "
        "block1 56x56x256, transition1 28x28x128, block2 28x28x512, transition2 14x14x256, "
        "block3 14x14x1280, transition3 7x7x640, block4 7x7x1664, pool 1664, output 1000"
    ),
    "densenet201": (
        "image 224x224x3, stem_conv 112x112x64, stem_pool 56x56x64, "
        "block1 56x56x256, transition1 28x28x128, block2 28x28x512, transition2 14x14x256, "
        "block3 14x14x1792, transition3 7x7x896, block4 7x7x1920, pool 1920, output 1000"
    ),
    "efficientnet_b0": (
        "image 224x224x3, stem 112x112x32, stage1 112x112x16, stage2 56x56x24, stage3 28x28x40, "
        "stage4 14x14x80, stage5 14x14x112, stage6 7x7x192, stage7 7x7x320, head 7x7x1280, "
        "pool 1280, output 1000"
    ),
    "efficientnet_b1": (
        "image 240x240x3, stem 120x120x32, stage1 120x120x16, stage2 60x60x24, stage3 30x30x40, "
        "stage4 15x15x80, stage5 15x15x112, stage6 8x8x192, stage7 8x8x320, head 8x8x1280, "
        "pool 1280, output 1000"
    ),
    "efficientnet_b2": (
        "image 260x260x3, stem 130x130x32, stage1 130x130x16, stage2 65x65x24, stage3 33x33x48, "
        "stage4 17x17x88, stage5 17x17x120, stage6 9x9x208, stage7 9x9x352, head 9x9x1408, "
        "pool 1408, output 1000"
    ),
    "efficientnet_b3": (
        "image 300x300x3, stem 150x150x40, stage1 150x150x24, stage2 75x75x32, stage3 38x38x48, "
        "stage4 19x19x96, stage5 19x19x136, stage6 10x10x232, stage7 10x10x384, head 10x10x1536, "
        "pool 1536, output 1000"
    ),
    "efficientnet_b4": (
        "image 380x380x3, stem 190x190x48, stage1 190x190x24, stage2 95x95x32, stage3 48x48x56, "
        "stage4 24x24x112, stage5 24x24x160, stage6 12x12x272, stage7 12x12x448, head 12x12x1792, "
        "pool 1792, output 1000"
    ),
    "efficientnet_b5": (
        "image 456x456x3, stem 228x228x48, stage1 228x228x24, stage2 114x114x40, stage3 57x57x64, "
        "stage4 29x29x128, stage5 29x29x176, stage6 15x15x304, stage7 15x15x512, head 15x15x2048, "
        "pool 2048, output 1000"
    ),
    "efficientnet_b6": (
        "image 528x528x3, stem 264x264x56, stage1 264x264x32, stage2 132x132x40, stage3 66x66x72, "
        "stage4 33x33x144, stage5 33x33x200, stage6 17x17x344, stage7 17x17x576, head 17x17x2304, "
        "pool 2304, output 1000"
    ),
    "efficientnet_b7": (
        "image 600x600x3, stem 300x300x64, stage1 300x300x32, stage2 150x150x48, stage3 75x75x80, "
        "stage4 38x38x160, stage5 38x38x224, stage6 19x19x384, stage7 19x19x640, head 19x19x2560, "
        "pool 2560, output 1000"
    ),
    "googlenet": (
        "image 224x224x3, conv1 112x112x64, pool1 56x56x64, conv2 56x56x64, conv3 56x56x192, "
        "pool2 28x28x192, inception3a 28x28x256, inception3b 28x28x480, pool3 14x14x480, "
        "inception4a 14x14x512, inception4b 14x14x512, inception4c 14x14x512, "
        "inception4d 14x14x528, inception4e 14x14x832, pool4 7x7x832, inception5a 7x7x832, "
        "inception5b 7x7x1024, pool 1024, output 1000"
    ),
    "mobilenet_v2": (
        "image 224x224x3, stem 112x112x32, stage1 112x112x16, stage2 56x56x24, stage3 28x28x32, "
        "stage4 14x14x64, stage5 14x14x96, stage6 7x7x160, stage7 7x7x320, head 7x7x1280, "
        "pool 1280, output 1000"
    ),
    "mobilenet_v3_large": (
        "image 224x224x3, stem 112x112x16, stage1 112x112x16, stage2 56x56x24, stage3 28x28x40, "
        "stage4 14x14x80, stage5 14x14x112, stage6 7x7x160, head 7x7x960, pool 960, dense 1280, "
        "output 1000"
    ),
    "mobilenet_v3_small": (
        "image 224x224x3, stem 112x112x16, stage1 56x56x16, stage2 28x28x24, stage3 14x14x40, "
        "stage4 14x14x48, stage5 7x7x96, head 7x7x576, pool 576, dense 1024, output 1000"
    ),
    "resnet18": BASIC,
    "resnet34": BASIC,
    "resnet50": BOTTLENECK,
    "resnet101": BOTTLENECK,
    "resnet152": BOTTLENECK,
    "resnet20_cifar": CIFAR,
    "resnet32_cifar": CIFAR,
    "resnet44_cifar": CIFAR,
    "resnet56_cifar": CIFAR,
    "resnet110_cifar": CIFAR,
    "resnext50": BOTTLENECK,
    "se_resnet50": BOTTLENECK,
    "unet": (
        "image 572x572x1, down1_conv1 570x570x64, down1_conv2 568x568x64, down1_pool 284x284x64, "
        "down2_conv2 280x280x128, down2_pool 140x140x128, down3_conv2 136x136x256, "
        "down3_pool 68x68x256, down4_conv2 64x64x512, down4_pool 32x32x512, bottom 28x28x1024, "
        "up4_upconv 56x56x512, up4 56x56x1024, up4_conv2 52x52x512, "
        "up3_upconv 104x104x256, up3 104x104x512, up3_conv2 100x100x256, "
        "up2_upconv 200x200x128, up2 200x200x256, up2_conv2 196x196x128, "
        "up1_upconv 392x392x64, up1 392x392x128, up1_conv2 388x388x64, output 388x388x2"
    ),
    "vgg11": VGG,
    "vgg11_bn": VGG,
    "vgg13": VGG,
    "vgg13_bn": VGG,
    "vgg16": VGG,
    "vgg16_bn": VGG,
    "vgg19": VGG,
    "vgg19_bn": VGG,
}
# Blocks of each stage.
DEPTHS = {
    "alexnet": [],
    "convnext_tiny": [3, 3, 9, 3],
    "convnext_small": [3, 3, 27, 3],
    "convnext_base": [3, 3, 27, 3],
    "convnext_large": [3, 3, 27, 3],
    "densenet121": [6, 12, 24, 16],
    "densenet169": [6, 12, 32, 32],
    "densenet201": [6, 12, 48, 32],
    "efficientnet_b0": [1, 2, 2, 3, 3, 4, 1],  # 16
    "efficientnet_b1": [2, 3, 3, 4, 4, 5, 2],  # 23
    "efficientnet_b2": [2, 3, 3, 4, 4, 5, 2],  # 23
    "efficientnet_b3": [2, 3, 3, 5, 5, 6, 2],  # 26
    "efficientnet_b4": [2, 4, 4, 6, 6, 8, 2],  # 32
    "efficientnet_b5": [3, 5, 5, 7, 7, 9, 3],  # 39
    "efficientnet_b6": [3, 6, 6, 8, 8, 11, 3],  # 45
    "efficientnet_b7": [4, 7, 7, 10, 10, 13, 4],  # 55
    "googlenet": [],
    "mobilenet_v2": [1, 2, 3, 4, 3, 3, 1],
    "mobilenet_v3_large": [1, 2, 3, 4, 2, 3],
    "mobilenet_v3_small": [1, 2, 3, 2, 3],
    "resnet18": [2, 2, 2, 2],
    "resnet34": [3, 4, 6, 3],
    "resnet50": [3, 4, 6, 3],
    "resnet101": [3, 4, 23, 3],
    "resnet152": [3, 8, 36, 3],
    "resnet20_cifar": [3, 3, 3],
    "resnet32_cifar": [5, 5, 5],
    "resnet44_cifar": [7, 7, 7],
    "resnet56_cifar": [9, 9, 9],
    "resnet110_cifar": [18, 18, 18],
    "resnext50": [3, 4, 6, 3],
    "se_resnet50": [3, 4, 6, 3],
    "unet": [],
    "vgg11": [1, 1, 2, 2, 2],
    "vgg11_bn": [1, 1, 2, 2, 2],
    "vgg13": [2, 2, 2, 2, 2],
    "vgg13_bn": [2, 2, 2, 2, 2],
    "vgg16": [2, 2, 3, 3, 3],
    "vgg16_bn": [2, 2, 3, 3, 3],
    "vgg19": [2, 2, 4, 4, 4],
    "vgg19_bn": [2, 2, 4, 4, 4],
}
# Blocks whose input is added to their output.
ADDED = {
    "convnext_tiny": 18,
    "convnext_small": 36,
    "convnext_base": 36,
    "convnext_large": 36,
    "efficientnet_b0": 9,
    "efficientnet_b1": 16,
    "efficientnet_b2": 16,
    "efficientnet_b3": 19,
    "efficientnet_b4": 25,
    "efficientnet_b5": 32,
    "efficientnet_b6": 38,
    "efficientnet_b7": 48,
    "mobilenet_v2": 10,
    "mobilenet_v3_large": 10,
    "mobilenet_v3_small": 6,
    "resnet18": 8,
    "resnet34": 16,
    "resnet50": 16,
    "resnet101": 33,
    "resnet152": 50,
    "resnet20_cifar": 9,
    "resnet32_cifar": 15,
    "resnet44_cifar": 21,
    "resnet56_cifar": 27,
    "resnet110_cifar": 54,
    "resnext50": 16,
    "se_resnet50": 16,
}
# Layers with weights, those of shortcuts and of squeeze and excitation left out: where the papers
# name a model by them, and by the text of two others.
WEIGHT_LAYERS = {
    "alexnet": 8,
    "densenet121": 121,
    "densenet169": 169,
    "densenet201": 201,
    "resnet18": 18,
    "resnet34": 34,
    "resnet50": 50,
    "resnet101": 101,
    "resnet152": 152,
    "resnet20_cifar": 20,
    "resnet32_cifar": 32,
    "resnet44_cifar": 44,
    "resnet56_cifar": 56,
    "resnet110_cifar": 110,
    "resnext50": 50,
    "se_resnet50": 50,
    "unet": 23,
    "vgg11": 11,
    "vgg11_bn": 11,
    "vgg13": 13,
    "vgg13_bn": 13,
    "vgg16": 16,
    "vgg16_bn": 16,
    "vgg19": 19,
    "vgg19_bn": 19,
}
# Epsilon and momentum of batch normalization, where they are not torch's 1e-5 and 0.9 (its 0.1).
# MobileNetV3 and EfficientNet: 0.99 is the papers'; torchvision has it for all but B0 to B4.
BATCH_NORM = {
    "efficientnet_b0": (1e-5, 0.99),
    "efficientnet_b1": (1e-5, 0.99),
    "efficientnet_b2": (1e-5, 0.99),
    "efficientnet_b3": (1e-5, 0.99),
    "efficientnet_b4": (1e-5, 0.99),
    "efficientnet_b5": (1e-3, 0.99),
    "efficientnet_b6": (1e-3, 0.99),
    "efficientnet_b7": (1e-3, 0.99),
    "googlenet": (1e-3, 0.9),
    "mobilenet_v3_large": (1e-3, 0.99),
    "mobilenet_v3_small": (1e-3, 0.99),
}
# GoogLeNet: the paper's table 1; torchvision has 0.2.
DROPOUT_RATES = {
    "alexnet": {"drop6": 0.5, "drop7": 0.5},
    "efficientnet_b0": {"dropout": 0.2},
    "efficientnet_b1": {"dropout": 0.2},
    "efficientnet_b2": {"dropout": 0.3},
    "efficientnet_b3": {"dropout": 0.3},
    "efficientnet_b4": {"dropout": 0.4},
    "efficientnet_b5": {"dropout": 0.4},
    "efficientnet_b6": {"dropout": 0.5},
    "efficientnet_b7": {"dropout": 0.5},
    "googlenet": {"dropout": 0.4},
    "mobilenet_v2": {"dropout": 0.2},
    "mobilenet_v3_large": {"dropout": 0.2},
    "mobilenet_v3_small": {"dropout": 0.2},
    "vgg11": {"drop6": 0.5, "drop7": 0.5},
    "vgg11_bn": {"drop6": 0.5, "drop7": 0.5},
    "vgg13": {"drop6": 0.5, "drop7": 0.5},
    "vgg13_bn": {"drop6": 0.5, "drop7": 0.5},
    "vgg16": {"drop6": 0.5, "drop7": 0.5},
    "vgg16_bn": {"drop6": 0.5, "drop7": 0.5},
    "vgg19": {"drop6": 0.5, "drop7": 0.5},
    "vgg19_bn": {"drop6": 0.5, "drop7": 0.5},
}
# The rate that stochastic depth reaches behind so many blocks; it grows from 0, block by block.
# ConvNeXt's last block has it, EfficientNet's would be one further.
STOCHASTIC_DEPTH = {
    "convnext_tiny": (0.1, 17),
    "convnext_small": (0.4, 35),
    "convnext_base": (0.5, 35),
    "convnext_large": (0.5, 35),
    "efficientnet_b0": (0.2, 16),
    "efficientnet_b1": (0.2, 23),
    "efficientnet_b2": (0.2, 23),
    "efficientnet_b3": (0.2, 26),
    "efficientnet_b4": (0.2, 32),
    "efficientnet_b5": (0.2, 39),
    "efficientnet_b6": (0.2, 45),
    "efficientnet_b7": (0.2, 55),
}
WITH_TESTS_OF_THEIR_OWN = {"lenet5", "mnist_cnn"}
WITH_WEIGHTS = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
)


@pytest.fixture(scope="module", params=PARAMETERS)
def model(request):
    """Each model once, for all tests; not kept."""
    model = unfilled(request.param)
    assert model.name == request.param
    return model


def count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def layers_of(model, *classes):
    return [layer for layer in model.layers if isinstance(layer, classes)]


def stages(model, names):
    """``names`` with the shape behind each, written as STAGES has it."""
    found = []
    for name in names:
        layers = [each for each in model.layers if each.name == name]
        layers = layers or [each for each in model.layers if each.name.startswith(f"{name}_")]
        shape = layers[-1].output.shape[1:]
        found.append(f"{name} {'x'.join(str(size) for size in shape)}")
    return ", ".join(found)


def blocks(model):
    """Names of the model's blocks, in order."""
    found = (re.match(r"(stage|block)\d_(block|layer)\d+", layer.name) for layer in model.layers)
    return list(dict.fromkeys(each[0] for each in found if each))


def test_tables_have_the_catalogs_convolutional_models():
    convolutional = {name for name, path in zoo._MODULES.items() if "convolutional" in path}
    expected = convolutional - WITH_TESTS_OF_THEIR_OWN
    assert PARAMETERS.keys() == STAGES.keys() == DEPTHS.keys() == expected


def test_parameters(model):
    trainable, statistics = PARAMETERS[model.name]
    assert count(model.trainable_weights) == trainable
    assert count(model.non_trainable_weights) == statistics


def test_stages(model):
    names = [stage.split()[0] for stage in STAGES[model.name].split(", ")]
    assert stages(model, names) == STAGES[model.name]


def test_depths(model):
    """And no block is left out, or counted twice."""
    expected = [
        (stage, index)
        for stage, depth in enumerate(DEPTHS[model.name], start=1)
        for index in range(1, depth + 1)
    ]
    found = [tuple(int(number) for number in re.findall(r"\d+", name)) for name in blocks(model)]
    assert sorted(found) == expected


def test_blocks_that_are_added(model):
    added = layers_of(model, keras.layers.Add)
    assert len(added) == ADDED.get(model.name, 0)
    assert {layer.name for layer in added} <= set(blocks(model))


def test_as_many_layers_as_the_paper_says(model):
    if model.name not in WEIGHT_LAYERS:
        return  # the paper counts none
    found = [
        layer.name
        for layer in layers_of(model, *WITH_WEIGHTS)
        if not re.search("shortcut|squeeze|excite", layer.name)
    ]
    assert len(found) == WEIGHT_LAYERS[model.name]


def test_normalization(model):
    batch = layers_of(model, custom_layers.BatchNormalization)
    constants = {BATCH_NORM.get(model.name, (1e-5, 0.9))} if PARAMETERS[model.name][1] else set()
    assert {(layer.epsilon, layer.momentum) for layer in batch} == constants
    assert not layers_of(model, keras.layers.BatchNormalization)
    # ConvNeXt's layer normalization and layer scale: section 2.6, appendix A.1, and its code.
    constants = {1e-6} if model.name.startswith("convnext") else set()
    layer_norm = layers_of(model, keras.layers.LayerNormalization)
    scale = layers_of(model, custom_layers.LayerScale)
    assert {layer.epsilon for layer in layer_norm} == constants
    assert {layer.initial_value for layer in scale} == constants


def test_dropout_rates(model):
    found = layers_of(model, custom_layers.Dropout, keras.layers.Dropout)
    rates = {
        layer.name: layer.rate
        for layer in found
        if not isinstance(layer, custom_layers.StochasticDepth)
    }
    assert rates == DROPOUT_RATES.get(model.name, {})


def test_stochastic_depth_grows_from_block_to_block(model):
    rate, behind = STOCHASTIC_DEPTH.get(model.name, (0.0, 1))
    order = sorted(blocks(model), key=lambda name: [int(each) for each in re.findall(r"\d+", name)])
    added = {layer.name for layer in layers_of(model, keras.layers.Add)}
    expected = {
        f"{name}_drop": pytest.approx(rate * before / behind)
        for before, name in enumerate(order)
        if rate and name in added
    }
    found = layers_of(model, custom_layers.StochasticDepth)
    assert {layer.name: layer.rate for layer in found} == expected


def test_googlenet_with_auxiliary_classifiers():
    """Section 5, and torchvision's count with ``aux_logits``."""
    model = unfilled("googlenet", auxiliary=True)
    assert count(model.trainable_weights) == 13_004_888
    assert count(model.non_trainable_weights) == 15_072
    names = ["auxiliary1_pool", "auxiliary1_conv", "auxiliary1_dense", "auxiliary2_pool"]
    assert stages(model, names) == (
        "auxiliary1_pool 4x4x512, auxiliary1_conv 4x4x128, auxiliary1_dense 1x1x1024, "
        "auxiliary2_pool 4x4x528"
    )
    rates = {layer.name: layer.rate for layer in layers_of(model, custom_layers.Dropout)}
    assert rates == {"auxiliary1_dropout": 0.7, "auxiliary2_dropout": 0.7, "dropout": 0.4}
    assert [output.shape for output in model.outputs] == [(None, 1000)] * 3
