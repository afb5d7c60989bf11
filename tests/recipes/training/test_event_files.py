"""What is written for TensorBoard, read back by TensorBoard's own readers."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.io_wrapper import IsTensorFlowEventsFile
from tensorboard.compat.proto.event_pb2 import Event

from recipes.training.errors import CannotWrite
from recipes.training.event_files import EventFiles
from tests import event_reader, toy_run
from tests.event_reader import scalars
from tests.full_disk import files_end_at

CHECKOUT = Path(__file__).parents[3]


def write(folder, rows):
    events = EventFiles(folder)
    for row in rows:
        events.write(row)
    events.close()


def test_each_part_of_the_data_has_its_figures_in_a_folder_of_its_own(tmp_path):
    write(tmp_path / "tensorboard", toy_run.ROWS)
    assert scalars(tmp_path / "tensorboard") == {
        "training": {"loss": [(1, 4.0), (2, 2.0), (3, 1.0), (4, 0.5)]},
        "validation": {"loss": [(2, 3.5), (4, 1.5)], "accuracy": [(2, 0.5), (4, 0.875)]},
        "test": {
            "accuracy": [(4, pytest.approx(0.9921))],
            "loss": [(4, pytest.approx(0.01234567))],
        },
    }


def test_names_of_several_words_stay_whole(tmp_path):
    rows = [
        {"epoch": 1, "step": 1, "discriminator_loss": 1.0, "lossy": 2.0, "epochs_left": 3.0},
        {"epoch": 1, "step": 1, "validation_low_mode": 4.0, "training_discriminator_loss": 1.0},
    ]
    write(tmp_path / "tensorboard", rows)
    assert scalars(tmp_path / "tensorboard") == {
        "training": {"discriminator_loss": [(1, 1.0)], "lossy": [(1, 2.0)],
                     "epochs_left": [(1, 3.0)]},
        "validation": {"low_mode": [(1, 4.0)]},
    }  # fmt: skip


def test_means_over_an_epoch_make_no_part(tmp_path):
    write(tmp_path / "tensorboard", [{"epoch": 1, "step": 1, "training_loss": 1.0}])
    assert list((tmp_path / "tensorboard").iterdir()) == []


def test_tensorboard_knows_the_files_and_when_they_were_written(tmp_path):
    before = time.time()
    write(tmp_path / "tensorboard", toy_run.ROWS)
    after = time.time()
    for part in (tmp_path / "tensorboard").iterdir():
        (file,) = part.iterdir()
        assert IsTensorFlowEventsFile(str(file))
        first, *others = event_reader.events(file)
        assert first.file_version == "brain.Event:2"
        assert others
        times = [event.wall_time for event in (first, *others)]
        assert times == sorted(times)
        assert before <= times[0] <= times[-1] <= after
        # Figures of one row are one event.
        assert len(others) == len({event.step for event in others})


def test_figures_can_be_watched_while_the_run_trains(tmp_path):
    events = EventFiles(tmp_path / "tensorboard")
    events.write(toy_run.STEPS[0])
    assert scalars(tmp_path / "tensorboard") == {"training": {"loss": [(1, 4.0)]}}
    events.write(toy_run.STEPS[1])
    assert scalars(tmp_path / "tensorboard") == {"training": {"loss": [(1, 4.0), (2, 2.0)]}}
    events.close()
    with pytest.raises(ValueError, match="closed"):
        events.write(toy_run.STEPS[2])


def test_no_tensorflow_is_imported(tmp_path):
    script = (
        "import json, sys\n"
        "from recipes.training.event_files import EventFiles\n"
        "from pathlib import Path\n"
        "events = EventFiles(Path(sys.argv[1]))\n"
        "for row in json.loads(sys.argv[2]): events.write(row)\n"
        "events.close()\n"
        "sys.exit(str(sorted({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)) or ''))"
    )
    folder = tmp_path / "tensorboard"
    written = subprocess.run(
        [sys.executable, "-c", script, str(folder), json.dumps(toy_run.ROWS)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert written.stderr.strip() == ""
    assert scalars(folder)["training"] == {"loss": [(1, 4.0), (2, 2.0), (3, 1.0), (4, 0.5)]}


def test_a_full_disk_leaves_whole_events_only(tmp_path):
    events = EventFiles(tmp_path / "tensorboard")
    events.write(toy_run.STEPS[0])
    (file,) = (tmp_path / "tensorboard" / "training").iterdir()
    with pytest.raises(CannotWrite, match=rf"^cannot write {file} \(File too large\)"):
        with files_end_at(file.stat().st_size + 5):
            events.write(toy_run.STEPS[1])
    events.close()
    # Not only what TensorBoard forgives: the bytes end where an event does.
    assert scalars(tmp_path / "tensorboard") == {"training": {"loss": [(1, 4.0)]}}
    size = len(file.read_bytes())
    assert size == sum(
        16 + len(Event.FromString(record).SerializeToString()) for record in _records(file)
    )


def test_a_folder_that_was_removed(tmp_path):
    events = EventFiles(tmp_path / "tensorboard")
    events.write(toy_run.STEPS[0])
    shutil.rmtree(tmp_path / "tensorboard")
    with pytest.raises(CannotWrite, match=r"tensorboard/training/.*the folder was removed"):
        events.write(toy_run.STEPS[1])
    with pytest.raises(CannotWrite, match=r"tensorboard/validation \(the folder was removed"):
        events.write(toy_run.EPOCHS[0])
    events.close()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_keeps_what_was_there_and_writes_files_of_its_own(tmp_path):
    first, rest = toy_run.ROWS[:3], toy_run.ROWS[3:]
    events = EventFiles(tmp_path)
    for row in first:
        events.write(row)
    sizes = dict(events.sizes)
    assert sorted(name.partition("/")[0] for name in sizes) == ["training", "validation"]
    kept = {name: (tmp_path / name).read_bytes() for name in sizes}
    assert {name: len(content) for name, content in kept.items()} == sizes
    for row in rest:  # which are lost
        events.write(row)
    events.close()

    events = EventFiles(tmp_path, sizes)
    assert events.sizes == sizes
    assert {name: (tmp_path / name).read_bytes() for name in sizes} == kept
    for row in rest:
        events.write(row)
    events.close()
    write(tmp_path / "calm", toy_run.ROWS)
    expected = scalars(tmp_path / "calm")
    shutil.rmtree(tmp_path / "calm")
    assert scalars(tmp_path) == expected
    assert {name: (tmp_path / name).read_bytes() for name in sizes} == kept
    assert len(events.sizes) == 5


def test_what_is_gone_or_unknown_does_not_hinder(tmp_path):
    write(tmp_path, toy_run.ROWS)
    files = {path.parent.name: path for path in tmp_path.glob("*/*")}
    names = {part: path.relative_to(tmp_path).as_posix() for part, path in files.items()}
    files["training"].unlink()
    size = files["validation"].stat().st_size
    events = EventFiles(tmp_path, {names["training"]: 50, names["validation"]: size + 9, "x": 1})
    assert events.sizes == {names["validation"]: size}
    assert not files["test"].exists()
    events.close()


def _records(file):
    """The records of a file of length (8 bytes), its sum (4), bytes, their sum (4)."""
    content = file.read_bytes()
    while content:
        length = int.from_bytes(content[:8], "little")
        yield content[12 : 12 + length]
        content = content[16 + length :]
