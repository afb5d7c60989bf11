"""``python -m benchmarks training_step``: runs one benchmark on the backend in force."""

import importlib
import sys
from pathlib import Path

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith("_") and path.stem != "side_by_side"
)

if __name__ == "__main__":
    name, *rest = sys.argv[1:] or [""]
    if name not in NAMES or rest:
        sys.exit(f"error: name one benchmark, as in python -m benchmarks {NAMES[0]}: {NAMES}")
    importlib.import_module(f"benchmarks.{name}").main()
