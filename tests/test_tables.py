"""The README's tables are those that docs/tables.py writes, and show what was measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from recipes.training.errors import InputError

CHECKOUT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("tables", CHECKOUT / "docs" / "tables.py")
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)

DESCRIPTION = {
    "recipe": "toy",
    "started": "2026-02-03T04:05:06+00:00",
    "command": "python -m recipes run toy",
    "options": {"backend": "jax", "seed": 0},
    "device": "a processor",
    "threads": 2,
    "versions": {"keras": "3.15.1"},
    "git_commit": "0123456789abcdef",
    "data": {"name": "numbers", "source": "embedded", "description": "ten numbers"},
    "pictures": {},
}
SECONDS = 12.345  # that a run takes


def write_run(folder, test=None, seconds=SECONDS, **changes):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**DESCRIPTION, **changes}))
    rows = [{"epoch": 1, "step": 1, "loss": 2.0}, {"epoch": 1, "step": 1, "training_loss": 2.0}]
    if test:
        rows.append({"epoch": 1, "step": 1, **test})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "timings.jsonl").write_text(json.dumps({"seconds": seconds}) + "\n")
    return folder


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("path", tables.PARTS, ids=str)
def test_the_tables_are_up_to_date(path):
    """Remedy: make tables."""
    text = path.read_text("utf-8")
    assert tables.rewrite(path, text) == text


def test_every_recipe_has_a_published_run_on_every_backend():
    published = {
        (result["recipe"], result["options"]["backend"]) for result in tables._read(tables.RESULTS)
    }
    assert published == {(name, each) for name in tables.recipes() for each in tables.BACKENDS}


def test_published_runs_are_of_a_commit_and_of_options_that_the_header_names():
    """Or of the default ones."""
    for result in tables._read(tables.RESULTS):
        header = tables.recipes()[result["recipe"]].read_text("utf-8").split('"""')[1]
        config = importlib.import_module(f"recipes.{result['recipe']}").Config()
        assert len(result["git_commit"]) == 40
        for name, value in vars(config).items():
            is_file = name == "data_path" and result["data"]["source"] == "file"
            found = result["options"][name]
            named = f"--{name.replace('_', '-')} {found} " in header.replace("\n", " ")
            assert found == value or is_file or named, result["command"]
        assert result["options"]["precision"] == "float32"


def test_every_published_study_took_less_than_two_minutes_on_two_cores():
    for result in tables._read(tables.RESULTS):
        if result["recipe"].startswith(tables.STUDY):
            assert 0 < result["seconds"] < 120, result["command"]
            assert result["device"].endswith(", 2 cores")


def test_the_header_of_a_recipe_has_its_published_figures():
    for result in tables._read(tables.RESULTS):
        if result["recipe"].startswith(tables.STUDY):
            continue  # has verdicts, which are in a table
        header = tables.recipes()[result["recipe"]].read_text("utf-8").split('"""')[1]
        told = ("accuracy", "bleu", "exact_match", "low_mode", "mae", "mse")
        names = [name for name in result["test"] if name.endswith(told)]
        names = names or [name for name in result["test"] if name.endswith("loss")]
        for name in names:
            assert tables.figure(name, result["test"][name]) in header, (name, result["command"])
        assert names


def test_a_published_run_is_in_the_table(tmp_path, results):
    for backend, accuracy in (("jax", 0.98765), ("torch", 0.5)):
        test = {"test_loss": 0.1, "test_accuracy": accuracy}
        tables.publish(write_run(tmp_path / backend, test, options={"backend": backend}), results)
    assert tables.result_table(results).splitlines() == [
        "| recipe | data | figure | TensorFlow | JAX | PyTorch |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `toy` | ten numbers | test accuracy |  | 98.77% | 50.00% |",
    ]
    assert tables.machine([results]) == "Measured on a processor, 2026-02-03.\n"


@pytest.mark.parametrize(
    ("accuracy", "source", "told"),
    [
        (0.5, "tfds", "test accuracy (not reached here: 91.25%)"),
        (0.5, "embedded", "test accuracy"),
        (0.92, "tfds", "test accuracy"),
    ],
)
def test_a_paper_s_accuracy_that_is_not_reached_is_told(accuracy, source, told, tmp_path, results):
    data = {**DESCRIPTION["data"], "source": source}
    changes = {"recipe": "resnet_cifar10", "data": data}
    tables.publish(write_run(tmp_path / "a", {"test_accuracy": accuracy}, **changes), results)
    row = tables.result_table(results).splitlines()[-1]
    assert f"| {told} |" in row


def test_folders_of_the_machine_are_not_published(tmp_path, results):
    command = "python -m recipes run toy --runs {0}runs --data-path '{0}my table.csv'"
    folder = write_run(
        tmp_path / "a", {"test_loss": 0.1}, command=command.format("/home/me/"),
        options={"backend": "jax", "runs": "/home/me/runs", "data_path": "/home/me/my table.csv"},
    )  # fmt: skip
    tables.publish(folder, results)
    (path,) = results.iterdir()
    kept = json.loads(path.read_text())
    assert kept["options"] == {"backend": "jax", "runs": "runs", "data_path": "my table.csv"}
    assert kept["command"] == command.format("")


def test_without_an_accuracy_all_figures_are_shown(tmp_path, results):
    tables.publish(write_run(tmp_path / "a", {"test_loss": 0.1, "test_gap": 2.0}), results)
    shown = tables.result_table(results)
    assert "| test loss |  | 0.1 |  |" in shown
    assert "| test gap |  | 2 |  |" in shown


def test_a_study_has_its_verdicts_in_a_table_of_statements(tmp_path, results):
    for backend, verdict, seconds in (("jax", "holds", 99.6), ("torch", "does not hold", 7.0)):
        verdicts = {
            "Rain is wet": {"verdict": verdict, "measured": "3 of 4"},
            "Snow is warm": {"verdict": "not measured", "measured": "no snow"},
        }
        folder = write_run(
            tmp_path / backend, {"test_loss": 0.1}, seconds, verdicts=verdicts,
            recipe="study_weather",
            options={"backend": backend}, pictures={"rain.png": "Rain.", "snow.png": "Snow."},
        )  # fmt: skip
        (folder / "rain.png").write_bytes(backend.encode())
        tables.publish(folder, results, primer=tmp_path)
        assert (tmp_path / "study_weather.png").read_bytes() == backend.encode()
    study = "[`study_weather`](recipes/study_weather.py)"
    assert tables.statement_table(results).splitlines() == [
        "| statement | study | seconds | TensorFlow | JAX | PyTorch |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| Rain is wet | {study} | 100 |  | holds | does not hold |",
        f"| Snow is warm | {study} | 100 |  | not measured | not measured |",
    ]
    assert "study_weather" not in tables.result_table(results)


def test_the_primer_has_the_command_and_the_picture_of_every_study():
    page = (tables.PRIMER.parent / "primer.md").read_text("utf-8")
    studies = [name for name in tables.recipes() if name.startswith(tables.STUDY)]
    assert re.findall(r"^    make recipe NAME=(\w+)$", page, flags=re.M) == list(
        dict.fromkeys(re.findall(r"study_\w+", page.partition("## From")[2]))
    )
    for name in studies:
        assert page.count(f"\n    make recipe NAME={name}\n\n![") == 1
        assert f"](primer/{name}.png)" in page
        assert (tables.PRIMER / f"{name}.png").is_file()
    assert len(list(tables.PRIMER.iterdir())) == len(studies)


def test_publishing_again_replaces_the_run_of_the_same_backend_and_data(tmp_path, results):
    tables.publish(write_run(tmp_path / "a", {"test_loss": 0.1}), results)
    tables.publish(write_run(tmp_path / "b", {"test_loss": 0.2}), results)
    (path,) = results.iterdir()
    kept = json.loads(path.read_text())
    assert kept["test"] == {"test_loss": 0.2}
    assert kept["seconds"] == SECONDS
    assert kept["command"] == DESCRIPTION["command"]
    other = {**DESCRIPTION["data"], "source": "tfds", "description": "more numbers"}
    tables.publish(write_run(tmp_path / "c", {"test_loss": 0.3}, data=other), results)
    assert len(list(results.iterdir())) == 2
    assert tables.result_table(results).count("`toy`") == 2


@pytest.mark.parametrize(
    ("test", "changes", "message"),
    [
        (None, {}, "is not over"),
        ({"test_loss": 0.1}, {"git_commit": "0123-dirty"}, r"no commit \(0123-dirty\)"),
        ({"test_loss": 0.1}, {"git_commit": None}, r"no commit \(None\)"),
        (
            {"test_loss": 0.1},
            {"resumed": [{"differences": []}, {"differences": ["threads was 1, is 2"]}]},
            "was killed, and went on where threads was 1, is 2: publish",
        ),
    ],
)
def test_a_run_that_proves_nothing_is_refused(tmp_path, results, test, changes, message):
    with pytest.raises(InputError, match=message):
        tables.publish(write_run(tmp_path / "a", test, **changes), results)
    assert not list(results.iterdir())


def test_a_run_that_was_killed_and_went_on_to_the_same_bits_is_as_good(tmp_path, results):
    run = write_run(tmp_path / "a", {"test_loss": 0.1}, resumed=[{"differences": []}])
    tables.publish(run, results)
    (kept,) = tables._read(results)
    assert not kept.keys() & {"resumed", "finished", "code", "repeatable", "pictures"}


def test_a_run_from_moved_weights_is_refused(tmp_path, results):
    run = write_run(tmp_path / "a", {"test_loss": 0.1}, options={"backend": "jax", "ulps": 1})
    with pytest.raises(InputError, match="began with moved weights"):
        tables.publish(run, results)


def test_published_curves_are_one_curve():
    """Five seeds: the first step to 1e-6, ten to 1e-3, 50 to 2e-2 and 10 times what chaos does,
    and the test accuracy to 0.3 points."""
    (result,) = (each for each in tables._read(tables.CURVES) if each["recipe"] == "cnn_mnist")
    assert result["data"]["source"] == "tfds"
    assert len(result["seeds"]) == 5
    assert sorted(result["backends"]) == sorted(tables.BACKENDS)
    assert len(result["git_commit"]) == 40
    config = importlib.import_module("recipes.cnn_mnist").Config()
    for name, value in vars(config).items():
        assert name == "seed" or result["options"][name] == value
    for steps, bound in {"1": 1e-6, "10": 1e-3, "50": 2e-2}.items():
        assert len(result["steps"][steps]["backends"]) == 5
        assert max(result["steps"][steps]["backends"]) <= bound
    fifty = result["steps"]["50"]
    assert max(fifty["backends"]) <= 10 * max(fifty["floor"])
    assert max(result["test"]["test_accuracy"]["backends"]) <= 0.003


SEQUENCES = ["lstm_forecast", "lstm_intents", "lstm_names", "seq2seq_dates", "tagger"]


@pytest.mark.parametrize("recipe", SEQUENCES)
def test_published_curves_of_sequences_are_one_curve(recipe):
    """The first step to 1e-6, ten to 2e-6, and 50 to 1e-5."""
    (result,) = (each for each in tables._read(tables.CURVES) if each["recipe"] == recipe)
    assert sorted(result["backends"]) == sorted(tables.BACKENDS)
    config = importlib.import_module(f"recipes.{recipe}").Config()
    for name, value in vars(config).items():
        assert name == "seed" or result["options"][name] == value
    for steps, bound in {"1": 1e-6, "10": 2e-6, "50": 1e-5}.items():
        assert max(result["steps"][steps]["backends"]) <= bound


def write_curves(folder, **changes):
    """Runs of one seed on two backends, whose losses are 2.0, and one from moved weights."""
    return [
        write_run(
            folder / f"{backend}-{ulps}",
            **{"test": {"test_accuracy": 0.5 + 0.1 * ulps}, **changes},
            options={"backend": backend, "seed": 3, "ulps": ulps, "runs": "there", "epochs": 1},
        )
        for backend, ulps in (("jax", 0), ("torch", 0), ("torch", 1))
    ]


def test_published_curves_are_in_the_readme(tmp_path, results):
    tables.publish_curves(write_curves(tmp_path), results)
    kept = json.loads((results / "toy.json").read_text())
    assert kept["seeds"] == [3]
    assert kept["backends"] == ["jax", "torch"]
    assert kept["moved"] == ["torch"]
    assert kept["options"] == {"epochs": 1}
    assert not kept.keys() & {"command", "seconds"}
    assert kept["git_commit"] == DESCRIPTION["git_commit"]
    assert (results / "toy.png").read_bytes()[:4] == b"\x89PNG"
    assert tables.curve_table(results, only="other") == ""
    assert tables.curve_table(results, "toy", "there/").splitlines() == [
        "![toy: the loss on each backend, and how far apart they lie](there/toy.png)",
        "",
        "| `toy`, ten numbers | between JAX, PyTorch, largest of 1 seed "
        "| PyTorch, weights moved by one unit in the last place, largest of 1 seed |",
        "| --- | --- | --- |",
        "| first step | 0.0e+00 | 0.0e+00 |",
        "| test accuracy | 0.00 points | 10.00 points |",
    ]
    assert tables.machine([results]) == "Measured on a processor, 2026-02-03.\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"test": None}, "is not over"), ({"git_commit": "0123-dirty"}, r"no commit \(0123-dirty\)")],
)
def test_curves_that_prove_nothing_are_refused(tmp_path, results, changes, message):
    with pytest.raises(InputError, match=message):
        tables.publish_curves(write_curves(tmp_path, **changes), results)
    assert not list(results.iterdir())


def test_curves_of_several_commits_are_refused(tmp_path, results):
    first, *others = write_curves(tmp_path)
    other = write_curves(tmp_path / "other", git_commit="another")[1]
    with pytest.raises(InputError, match="different commits"):
        tables.publish_curves([first, other, others[1]], results)
    assert not list(results.iterdir())


def write_benchmark(results, name, backend, whats, device="a processor", accelerator=False):
    figures = {"median": 0.987, "lowest": 0.5, "highest": 2.0, "ours": 0.123, "theirs": 4.56}
    content = {
        "benchmark": name,
        "backend": backend,
        "device": device,
        "accelerator": accelerator,
        "rows": [{"what": what, **figures} for what in whats],
    }
    (results / f"{name}-{backend}-{device}.json").write_text(json.dumps(content))


def test_benchmarks_show_median_and_spread_for_each_device(results):
    for backend in ("tensorflow", "torch"):
        write_benchmark(results, "step", backend, ["a step, ours / fit"])
    write_benchmark(results, "step", "jax", ["a step, ours / fit"], "a card", accelerator=True)
    assert tables.benchmark_table(results).splitlines() == [
        "a card:",
        "",
        "| what | TensorFlow | JAX | PyTorch |",
        "| --- | --- | --- | --- |",
        "| a step, ours / fit |  | 0.99 (0.50 to 2.00) |  |",
        "",
        "a processor:",
        "",
        "| what | TensorFlow | JAX | PyTorch |",
        "| --- | --- | --- | --- |",
        "| a step, ours / fit | 0.99 (0.50 to 2.00) |  | 0.99 (0.50 to 2.00) |",
    ]


def test_steps_have_a_row_a_network(results):
    step = "float32 step of mlp, ours"
    whats = [
        f"{step} / Keras fit, seconds",
        f"{step} / native, seconds",
        f"{step}, stacked / native, seconds",
        f"{step}, jit_compile / native, seconds",
    ]
    write_benchmark(results, "training_step", "jax", whats[:3])
    write_benchmark(results, "training_step", "torch", [whats[0], whats[3]])
    write_benchmark(results, "training_step", "tensorflow", whats, "a card", accelerator=True)
    heads, _, *rows = tables.step_table(results).splitlines()
    assert heads == (
        "| step of | TensorFlow: ours / Keras fit | TensorFlow: ours / native "
        "| TensorFlow: ours, jit_compile / native | JAX: ours / Keras fit | JAX: ours / native "
        "| PyTorch: ours / Keras fit | PyTorch: ours / native "
        "| PyTorch: ours, jit_compile / native |"
    )
    assert rows == ["| mlp |  |  |  | 0.99 | 0.99 | 0.99 |  | 0.99 |"]


def test_operations_have_a_row_a_network_and_side(results):
    rows = [
        {
            "what": f"step of mlp, {side}",
            "milliseconds": 2.5,
            "operations": {"MatMul": 2.0, "Mul": 0.25},
        }
        for side in ("ours", "native graph")
    ]
    for name, accelerator in (("a", False), ("b", True)):
        content = {
            "benchmark": "operations", "backend": "tensorflow", "device": name,
            "accelerator": accelerator, "rows": rows,
        }  # fmt: skip
        (results / f"{name}.json").write_text(json.dumps(content))
    assert tables.operation_table(results).splitlines() == [
        "| backend | what | in all | of it, in milliseconds |",
        "| --- | --- | --- | --- |",
        "| TensorFlow | step of mlp, ours | 2.5 | MatMul 2, Mul 0.25 |",
        "| TensorFlow | step of mlp, native graph | 2.5 | MatMul 2, Mul 0.25 |",
    ]
    assert tables.benchmark_table(results) == ""


def test_a_start_has_a_row_a_part(results):
    parts = ("import", "whole")
    whats = [f"start, {part}, ours / bare Keras, seconds" for part in parts]
    write_benchmark(results, "start", "torch", whats)
    heads, _, *rows = tables.start_table(results).splitlines()
    assert heads.endswith("| PyTorch: ours | PyTorch: bare Keras |")
    assert rows == ["| import |  |  |  |  | 0.1 | 4.6 |", "| whole |  |  |  |  | 0.1 | 4.6 |"]


def test_a_build_has_a_row_a_model(results):
    alone = {"what": "build of a, seconds", "ours": 0.123, "model": "a", "parameters": 12345}
    figures = {"median": 0.987, "lowest": 0.5, "highest": 2.0, "ours": 3.21, "theirs": 4.56}
    compared = {"what": "build of b, ours / theirs", **figures, "model": "b", "parameters": 678}
    for name, backend, accelerator, rows in (
        ("a", "jax", False, [alone, compared]),
        ("b", "torch", False, [compared]),
        ("c", "tensorflow", True, [alone, compared]),
    ):
        content = {
            "benchmark": "build", "backend": backend, "device": name, "accelerator": accelerator,
            "rows": rows,
        }  # fmt: skip
        (results / f"{name}.json").write_text(json.dumps(content))
    heads, _, *rows = tables.build_table(results).splitlines()
    assert heads == (
        "| build of | parameters | TensorFlow: seconds | JAX: seconds | PyTorch: seconds "
        "| TensorFlow: ours / keras.applications | JAX: ours / keras.applications "
        "| PyTorch: ours / keras.applications |"
    )
    assert rows == [
        "| `a` | 12,345 |  | 0.12 |  |  |  |  |",
        "| `b` | 678 |  | 3.21 | 3.21 |  | 0.99 | 0.99 |",
    ]
    assert tables.benchmark_table(results) == ""


def test_a_readme_without_the_comments_is_refused():
    text = tables.README.read_text("utf-8")
    with pytest.raises(InputError, match="<!-- models: written by make tables -->"):
        tables.rewrite(tables.README, text.replace("<!-- models: ", "<!-- "))
