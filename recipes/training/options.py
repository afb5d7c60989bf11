"""The command line of a recipe: its own ``Config`` dataclass, and what every recipe takes.

Parsed by cyclopts: field names become options, types and validators are checked, and an
error is one sentence with the option and the value.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import keras
from cyclopts import Parameter
from cyclopts.validators import Number

from recipes.training.errors import InputError


def _whole_number(_, tokens):
    # cyclopts alone rounds 1.5 to 2.
    value = tokens[0].value
    try:
        return int(value)
    except ValueError:
        raise ValueError(f'"{value}" is no whole number.') from None


def _integer(**bounds):
    return Parameter(converter=_whole_number, validator=Number(**bounds))


# Strict comparisons are false for NaN, so that it fails them too.
PositiveInt = Annotated[int, _integer(gt=0)]
NonNegativeInt = Annotated[int, _integer(gte=0)]
Seed = Annotated[int, _integer(gte=0, lt=2**31)]
PositiveFloat = Annotated[float, Parameter(validator=Number(gt=0, lt=math.inf))]
Rate = Annotated[float, Parameter(validator=Number(gte=0, lt=1))]


@dataclass(frozen=True)
class Options:
    """What every recipe takes beside its own Config.

    Attributes:
        backend: Keras backend; default: KERAS_BACKEND, then Keras's config file, then
            tensorflow
        data: tfds is prepared by TensorFlow Datasets, once, after a download; embedded ships
            inside a package and needs no network; auto is tfds where it can be had, else embedded
        precision: mixed_float16 and mixed_bfloat16: layers compute in half precision, on GPUs
            made for it faster; weights, their updates, statistics and losses stay in float32
        deterministic: a GPU repeats its operations to the bit, and takes longer; a CPU always does
        patience: epochs without a better validation loss after which the run stops; its weights
            are those of the best epoch then; 0 trains to the end and keeps the last weights
        min_delta: a validation loss is better that is lower by more than this
        checkpoint_seconds: seconds from one checkpoint to the next within an epoch
        ulps: units in the last place that are added to each initial weight: shows how far apart
            rounding alone carries two runs
        runs: folder for run folders
    """

    backend: Literal["tensorflow", "jax", "torch"] = field(default_factory=keras.backend.backend)
    data: Literal["auto", "tfds", "embedded"] = "auto"
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    deterministic: bool = False
    patience: NonNegativeInt = 0
    min_delta: Annotated[float, Parameter(validator=Number(gte=0, lt=math.inf))] = 0.0
    checkpoint_seconds: PositiveFloat = 60.0
    ulps: Annotated[int, _integer(gte=0, lte=1000)] = 0
    runs: Path = Path("runs")


def parse(recipe, config_class, arguments, options_class=Options):
    """(Config, Options) of a recipe's command line, or None if it asked for help, now printed.

    Args:
        recipe: the recipe's name.
        config_class: its frozen dataclass.
        arguments: the words after the recipe's name.
        options_class: ``Options``, or it with other defaults.

    Raises:
        InputError: an option is unknown, or a value is out of range or of the wrong type.
    """
    app = cyclopts.App(
        name=f"recipes run {recipe}",
        help_format="plaintext",
        help_flags=["--help", "-h"],
        version_flags=[],
        result_action="return_value",
    )

    defaults = config_class(), options_class()

    @app.default
    def collect(
        *,
        config: Annotated[config_class, Parameter("*")] = defaults[0],
        options: Annotated[options_class, Parameter("*")] = defaults[1],
    ):
        return config, options

    try:
        return app(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        sentence = " ".join(str(error).split())
        raise InputError(f"{sentence} See python -m recipes run {recipe} --help.") from None
