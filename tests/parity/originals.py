"""Other people's implementations with random weights: what they save, and what they compute.

    python -m tests.parity.originals FOLDER

runs them on PyTorch, in a process of its own, whatever the backend of the tests, and leaves of each
case in FOLDER:

    NAME.pth, NAME.safetensors or NAME/    a checkpoint, as its users have it
    NAME.after.safetensors                 the same after a step of training moved the statistics
    NAME.npz                               images, their outputs in inference and in training,
                                           what weights these in the loss, and how far float32
                                           moves them, as a share of the largest
    NAME.gradients.safetensors             gradients of the loss in training, for some
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

BATCH = 4
CLASSES = 5
MOMENTUM = 0.9  # of batch normalization, Keras's convention


class Case(NamedTuple):
    """An original, and how to build the same model here.

    Attributes:
        make: makes the original; its argument holds the modules nn, models (of torchvision), timm
            and transformers.
        model: name in the catalog.
        arguments: of ``zoo.build``, but for classes and shape.
        size: (height, width, channels) of the images.
        saved_as: "pth", "safetensors" or "folder".
        gradients: whether they are compared, too.
    """

    make: Callable
    model: str
    arguments: dict
    size: tuple = (64, 75, 3)
    saved_as: str = "pth"
    gradients: bool = False


DEPTHS = (1, 2, 1, 1)
QUARTER = {"width_multiplier": 0.25}
SMALL_VGG = {"width": 4, "dense_width": 16}
SMALL_DENSENET = {"depths": (2, 3, 1, 1), "growth_rate": 4, "width": 8}
SMALL_EFFICIENTNET = {"width_multiplier": 0.25, "depth_multiplier": 0.5}
SMALL_CONVNEXT = {"depths": DEPTHS, "width": 8}
SMALL_VIT = {"patch_size": 8, "width": 16, "depth": 2, "num_heads": 4}
SWIN_DEPTHS = (2, 3, 2, 1)
SMALL_SWIN = {"depths": SWIN_DEPTHS, "width": 8}
CASES = {
    "alexnet": Case(lambda on: alexnet(on), "alexnet", {"dense_width": 16}, (100, 71, 3)),
    "vgg11": Case(
        lambda on: vgg(on, [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"], False),
        "vgg11", SMALL_VGG,
    ),
    "vgg13_bn": Case(
        lambda on: vgg(on, [4, 4, "M", 8, 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"], True),
        "vgg13_bn", SMALL_VGG,
    ),
    "vgg16_bn of timm": Case(
        lambda on: vgg_of_timm(
            on, [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]
        ),
        "vgg16_bn", SMALL_VGG, saved_as="safetensors",
    ),
    "googlenet": Case(
        lambda on: on.models.GoogLeNet(CLASSES, aux_logits=False, init_weights=False),
        "googlenet", {},
    ),
    "googlenet with auxiliary classifiers": Case(
        lambda on: on.models.GoogLeNet(CLASSES, init_weights=False),
        "googlenet", {"auxiliary": True}, (65, 96, 3),
    ),
    "resnet18": Case(
        lambda on: on.models.ResNet(on.models.resnet.BasicBlock, [1, 1, 1, 1], CLASSES),
        "resnet18", {"depths": (1, 1, 1, 1)},
    ),
    "resnet50": Case(
        lambda on: on.models.ResNet(on.models.resnet.Bottleneck, DEPTHS, CLASSES),
        "resnet50", {"depths": DEPTHS}, gradients=True,
    ),
    "resnet50 of timm": Case(
        lambda on: on.timm.create_model("resnet50", layers=DEPTHS, num_classes=CLASSES),
        "resnet50", {"depths": DEPTHS}, saved_as="safetensors",
    ),
    "resnet50 of transformers": Case(
        lambda on: on.transformers.ResNetForImageClassification(
            on.transformers.ResNetConfig(
                embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=DEPTHS,
                num_labels=CLASSES,
            )
        ),
        "resnet50", {"depths": DEPTHS, "width": 8}, saved_as="folder",
    ),
    "resnet20_cifar": Case(lambda on: cifar_resnet(on), "resnet20_cifar", {}, (17, 32, 3)),
    "resnext50": Case(
        lambda on: on.models.ResNet(
            on.models.resnet.Bottleneck, DEPTHS, CLASSES, groups=8, width_per_group=2
        ),
        "resnext50", {"depths": DEPTHS, "groups": 8, "group_width": 2},
    ),
    "se_resnet50": Case(
        lambda on: on.timm.create_model("seresnet50", layers=DEPTHS, num_classes=CLASSES),
        "se_resnet50", {"depths": DEPTHS}, saved_as="safetensors",
    ),
    "densenet121": Case(
        lambda on: on.models.DenseNet(4, (2, 3, 1, 1), 8, num_classes=CLASSES),
        "densenet121", SMALL_DENSENET,
    ),
    "mobilenet_v2": Case(
        lambda on: on.models.MobileNetV2(CLASSES, 0.25), "mobilenet_v2", QUARTER
    ),
    "mobilenet_v2 of timm": Case(
        lambda on: on.timm.create_model("mobilenetv2_035", num_classes=CLASSES),
        "mobilenet_v2", {"width_multiplier": 0.35}, saved_as="safetensors",
    ),
    "mobilenet_v3_large": Case(
        lambda on: on.models.mobilenet_v3_large(num_classes=CLASSES, width_mult=0.25),
        "mobilenet_v3_large", QUARTER,
    ),
    "mobilenet_v3_large of timm": Case(
        lambda on: on.timm.create_model("mobilenetv3_large_100", num_classes=CLASSES),
        "mobilenet_v3_large", {"epsilon": 1e-5}, saved_as="safetensors",
    ),
    "mobilenet_v3_small": Case(
        lambda on: on.models.mobilenet_v3_small(num_classes=CLASSES, width_mult=0.25),
        "mobilenet_v3_small", QUARTER, gradients=True,
    ),
    "mobilenet_v3_small of timm": Case(
        lambda on: on.timm.create_model("mobilenetv3_small_100", num_classes=CLASSES),
        "mobilenet_v3_small", {"epsilon": 1e-5}, saved_as="safetensors",
    ),
    "efficientnet_b0": Case(lambda on: efficientnet(on), "efficientnet_b0", SMALL_EFFICIENTNET),
    "efficientnet_b0 of timm": Case(
        lambda on: on.timm.models.efficientnet._gen_efficientnet(
            "efficientnet_b0", channel_multiplier=0.25, depth_multiplier=0.5, num_classes=CLASSES
        ),
        "efficientnet_b0", SMALL_EFFICIENTNET, saved_as="safetensors",
    ),
    "convnext_tiny": Case(
        lambda on: on.models.ConvNeXt(
            [
                on.models.convnext.CNBlockConfig(8 * 2**stage, wider, depth)
                for stage, (depth, wider) in enumerate(
                    zip(DEPTHS, (16, 32, 64, None), strict=True)
                )
            ],
            num_classes=CLASSES,
        ),
        "convnext_tiny", SMALL_CONVNEXT, gradients=True,
    ),
    "convnext_tiny of timm": Case(
        lambda on: on.timm.create_model(
            "convnext_tiny", depths=DEPTHS, dims=(8, 16, 32, 64), num_classes=CLASSES
        ),
        "convnext_tiny", SMALL_CONVNEXT, saved_as="safetensors",
    ),
    "convnext_tiny of transformers": Case(
        lambda on: on.transformers.ConvNextForImageClassification(
            on.transformers.ConvNextConfig(
                hidden_sizes=[8, 16, 32, 64], depths=DEPTHS, num_labels=CLASSES
            )
        ),
        "convnext_tiny", SMALL_CONVNEXT, saved_as="folder",
    ),
    "unet": Case(lambda on: unet(on), "unet", {"width": 4}, (188, 204, 1)),
    "vit_base_16": Case(
        lambda on: vit_of_timm(on, "vit_base_patch16_224"), "vit_base_16", SMALL_VIT, (24, 40, 3),
        gradients=True,
    ),
    "vit_large_16 of transformers": Case(
        lambda on: on.transformers.ViTForImageClassification(
            on.transformers.ViTConfig(**vit_of_transformers())
        ),
        "vit_large_16", SMALL_VIT, (24, 40, 3), saved_as="folder",
    ),
    "deit_tiny_distilled_16": Case(
        lambda on: vit_of_timm(on, "deit_tiny_distilled_patch16_224"), "deit_tiny_distilled_16",
        SMALL_VIT, (24, 40, 3), gradients=True,
    ),
    "deit_base_distilled_16 of transformers": Case(
        lambda on: on.transformers.DeiTForImageClassificationWithTeacher(
            on.transformers.DeiTConfig(**vit_of_transformers())
        ),
        "deit_base_distilled_16", SMALL_VIT, (24, 40, 3), saved_as="folder",
    ),
    # Maps of 16x24, 8x12, 4x6 and 2x3: many windows, one over their height, and one over all.
    "swin_tiny": Case(
        lambda on: on.timm.create_model(
            "swin_tiny_patch4_window7_224", img_size=(64, 96), window_size=4, embed_dim=8,
            depths=SWIN_DEPTHS, num_heads=(1, 2, 4, 8), drop_path_rate=0.0, num_classes=CLASSES,
        ),
        "swin_tiny", {**SMALL_SWIN, "num_heads": 1, "window_size": 4}, (64, 96, 3), gradients=True,
    ),
    # Maps of 16x24 and 8x12, that are padded to 20x25 and 10x15.
    "swin_small of transformers": Case(
        lambda on: on.transformers.SwinForImageClassification(
            on.transformers.SwinConfig(
                image_size=(64, 96), window_size=5, embed_dim=8, depths=SWIN_DEPTHS[:2],
                num_heads=(2, 4), drop_path_rate=0.0, num_labels=CLASSES,
            )
        ),
        "swin_small", {**SMALL_SWIN, "depths": SWIN_DEPTHS[:2], "num_heads": 2, "window_size": 5},
        (64, 96, 3), saved_as="folder",
    ),
}  # fmt: skip


def vit_of_timm(on, name):
    return on.timm.create_model(
        name, img_size=(24, 40), patch_size=8, embed_dim=16, depth=2, num_heads=4,
        num_classes=CLASSES,
    )  # fmt: skip


def vit_of_transformers():
    """Arguments of a configuration; in the one that its checkpoints have, epsilon is 1e-12."""
    return {
        "image_size": (24, 40), "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "num_labels": CLASSES,
        "layer_norm_eps": 1e-6,
    }  # fmt: skip


def alexnet(on):
    """torchvision's, with narrow dense layers."""
    model = on.models.AlexNet(CLASSES)
    model.classifier[1] = on.nn.Linear(256 * 6 * 6, 16)
    model.classifier[4] = on.nn.Linear(16, 16)
    model.classifier[6] = on.nn.Linear(16, CLASSES)
    return model


def vgg(on, stages, batch_norm):
    """torchvision's, with narrow dense layers."""
    model = on.models.VGG(on.models.vgg.make_layers(stages, batch_norm))
    model.classifier[0] = on.nn.Linear(32 * 7 * 7, 16)
    model.classifier[3] = on.nn.Linear(16, 16)
    model.classifier[6] = on.nn.Linear(16, CLASSES)
    return model


def vgg_of_timm(on, stages):
    """timm's, with batch normalization and narrow dense layers."""
    module = on.timm.models.vgg
    model = module.VGG(stages, norm_layer=on.nn.BatchNorm2d)
    model.pre_logits = module.ConvMlp(32, 16)
    model.head = module.ClassifierHead(16, CLASSES)
    return model


def efficientnet(on):
    setting, last = on.models.efficientnet._efficientnet_conf(
        "efficientnet_b0", width_mult=0.25, depth_mult=0.5
    )
    return on.models.EfficientNet(setting, 0.2, num_classes=CLASSES, last_channel=last)


def cifar_resnet(on):
    """He et al. 2015, section 4.2, with option A, in torch.nn: from the paper alone."""
    nn, functional = on.nn, on.nn.functional

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.stride, self.new = stride, outputs - inputs

        def forward(self, x):
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            x = x[:, :, :: self.stride, :: self.stride]
            zeros = x.new_zeros(len(x), self.new // 2, *x.shape[2:])
            return functional.relu(on.torch.cat([zeros, x, zeros], dim=1) + y)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(3)))
            self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
            self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
            self.linear = nn.Linear(64, CLASSES)

        def forward(self, x):
            x = functional.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.linear(x.mean(dim=(2, 3)))

    return Network()


def unet(on):
    """Ronneberger et al. 2015, figure 1, in torch.nn: from the paper alone."""
    nn, functional = on.nn, on.nn.functional

    class Network(nn.Module):
        def __init__(self, width=4):
            super().__init__()
            widths = [1, *(width * 2**level for level in range(5))]
            for level in range(1, 5):
                self._two(f"down{level}", widths[level - 1], widths[level])
            self._two("bottom", widths[4], widths[5])
            for level in range(4, 0, -1):
                upconv = nn.ConvTranspose2d(widths[level + 1], widths[level], 2, stride=2)
                self.add_module(f"up{level}_upconv", upconv)
                self._two(f"up{level}", widths[level + 1], widths[level])
            self.output = nn.Conv2d(width, CLASSES, 1)

        def _two(self, name, inputs, outputs):
            self.add_module(f"{name}_conv1", nn.Conv2d(inputs, outputs, 3))
            self.add_module(f"{name}_conv2", nn.Conv2d(outputs, outputs, 3))

        def _apply_two(self, x, name):
            x = functional.relu(getattr(self, f"{name}_conv1")(x))
            return functional.relu(getattr(self, f"{name}_conv2")(x))

        def forward(self, x):
            kept = []
            for level in range(1, 5):
                x = self._apply_two(x, f"down{level}")
                kept.append(x)
                x = functional.max_pool2d(x, 2)
            x = self._apply_two(x, "bottom")
            for level in range(4, 0, -1):
                x = getattr(self, f"up{level}_upconv")(x)
                beside = kept.pop()
                top, left = (
                    (a - b) // 2 for a, b in zip(beside.shape[2:], x.shape[2:], strict=True)
                )
                beside = beside[:, :, top : top + x.shape[2], left : left + x.shape[3]]
                x = self._apply_two(on.torch.cat([beside, x], dim=1), f"up{level}")
            return self.output(x)

    return Network()


def _import():
    """The modules that the originals are in."""
    import torch

    try:
        import torchvision
    except (ImportError, OSError, RuntimeError):
        # The compiled operators are of another build of torch: declare those that it names, none
        # of which these models call.
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        import torchvision

        torchvision.operators = operators  # which lives as long as this object
    import timm
    import transformers

    return SimpleNamespace(
        torch=torch, nn=torch.nn, models=torchvision.models, timm=timm, transformers=transformers
    )


def _randomize(torch, model):
    """Values that are neither zero nor one, so that nothing that a model forgets stays unseen."""
    saved = model.state_dict()
    is_of_tokens = type(model).__name__.startswith(("VisionTransformer", "ViT", "DeiT", "Swin"))
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        with torch.no_grad():
            if name not in saved:
                pass  # places and masks within windows
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name.endswith(("running_mean", "bias")):
                value.normal_(0, 0.3)
            elif value.ndim == 4:
                torch.nn.init.kaiming_normal_(value)
            elif value.ndim == 1 or "layer_scale" in name:
                value.uniform_(0.5, 1.5)
            elif is_of_tokens:  # whose matrices are too small for attention to tell them apart
                value.normal_(0, 0.3)


def _images(size):
    """Pictures with large and small structures, by which deep layers can tell places apart.

    Of noise they see the same everywhere, and batch normalization would enlarge their rounding.
    """
    generator = np.random.default_rng(0)
    height, width, channels = size
    images = generator.normal(size=(BATCH, *size))
    for cell in (8, 32, 64):
        coarse = generator.normal(size=(BATCH, -(-height // cell), -(-width // cell), channels))
        images += coarse.repeat(cell, axis=1).repeat(cell, axis=2)[:, :height, :width]
    return (0.5 * images).astype("float32")


def _outputs(torch, outputs):
    """Logits, those of several classifiers along a new first axis; channels last."""
    if hasattr(outputs, "aux_logits1"):
        return torch.stack([outputs.logits, outputs.aux_logits1, outputs.aux_logits2])
    return getattr(outputs, "logits", outputs).movedim(1, -1)


def _write(on, name, case, folder):
    torch = on.torch
    torch.manual_seed(0)
    model = case.make(on)
    _randomize(torch, model)
    counts = {}  # of the values that the statistics of a layer are over
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) or type(module).__name__ == "StochasticDepth":
            module.p = 0.0
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1 - MOMENTUM
            module.register_forward_hook(
                lambda module, inputs, outputs, path=path: counts.update(
                    {path: outputs.numel() // outputs.shape[1]}
                )
            )
    state = {key: value.clone().contiguous() for key, value in model.state_dict().items()}
    if case.saved_as == "pth":
        torch.save(state, folder / f"{name}.pth")
    elif case.saved_as == "safetensors":
        _save(state, folder / f"{name}.safetensors")
    else:
        model.save_pretrained(folder / name)
    images = _images(case.size)
    given = torch.tensor(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        inference = _outputs(torch, model.eval()(given))
        rounded = _outputs(torch, model.train()(given))
    # Normalization by a few values is no better in float32 than its rounding: take float64's.
    model.load_state_dict(state)
    training = _outputs(torch, model.double()(given.double()))
    weights = torch.tensor(np.random.default_rng(1).normal(size=training.shape).astype("float32"))
    (training * weights).sum().backward()
    rounding = ((rounded - training).abs().max() / training.abs().max()).item()

    after = {key: value.detach().float() for key, value in model.state_dict().items()}
    for path, count in counts.items():
        # PyTorch keeps the unbiased variance: of the batch's share, take the biased one.
        key = f"{path}.running_var"
        old = MOMENTUM * state[key]
        after[key] = old + (after[key] - old) * (count - 1) / count
    _save(after, folder / f"{name}.after.safetensors")
    if case.gradients:
        gradients = {key: value.grad.float() for key, value in model.named_parameters()}
        _save(after | gradients, folder / f"{name}.gradients.safetensors")
    np.savez(
        folder / f"{name}.npz", images=images, weights=weights.numpy(), rounding=rounding,
        inference=inference.numpy(), training=training.detach().numpy(),
    )  # fmt: skip


def _save(state, path):
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in state.items()}, path)


def main(folder):
    on = _import()
    for name, case in CASES.items():
        _write(on, name, case, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
