"""The report of a run: one HTML file that holds everything it shows."""

import base64
from pathlib import Path

import jinja2

from recipes.training.progress import figures


def write(path, folder, description, rows, pictures):
    """Writes the report of a run.

    Args:
        path: the file to write.
        folder: the run folder, where the pictures lie.
        description: the content of config.json.
        rows: the rows of metrics.jsonl, the last being the test's.
        pictures: (file name, caption) of each.
    """
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    ).from_string(Path(__file__).with_name("report.html.jinja").read_text("utf-8"))
    # An epoch's row has more than the position and what its steps log; so has the last.
    *epochs, test = [
        row for row in rows if any(name.startswith(("training_", "test_")) for name in row)
    ]
    html = template.render(
        description=description,
        epochs=epochs,
        columns=[name for name in epochs[0] if name not in ("epoch", "step")],
        test={name: value for name, value in test.items() if name.startswith("test_")},
        pictures=[
            (caption, base64.b64encode((folder / name).read_bytes()).decode("ascii"))
            for name, caption in pictures
        ],
        figure=lambda name, value: figures({name: value}).removeprefix(f"{name} "),
    )
    path.write_text(html, encoding="utf-8")
