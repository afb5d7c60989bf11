"""``python -m benchmarks training_step``: runs one benchmark on the backend in force."""

import importlib
import os
import sys

NAMES = (
    "build",
    "checkpoints",
    "custom_layers",
    "generation",
    "initial_weights",
    "memory",
    "operations",
    "recipe_epoch",
    "recurrent_cells",
    "start",
    "training_step",
)

if __name__ == "__main__":
    name, *rest = sys.argv[1:] or [""]
    if name not in NAMES or rest:
        sys.exit(
            f"error: name one benchmark of {', '.join(NAMES)}, as in python -m benchmarks "
            f"{NAMES[-1]}; got {' '.join(sys.argv[1:]) or 'nothing'}"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own chatter
    importlib.import_module(f"benchmarks.{name}").main()
