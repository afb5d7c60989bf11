"""Checkpoints: whole or not there, checked before use, on every backend."""

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save

from recipes.training import checkpoint
from recipes.training.checkpoint import Checkpoints, Damaged, normalized
from recipes.training.errors import CannotWrite, InputError, NonFiniteValue
from tests.full_disk import files_end_at, read_only, small_disk, writable_folder


def variables(first=0.0, width=3):
    """Of every kind that a step has: weights, a counter, a seed, statistics."""
    layer = keras.layers.Dense(width, name="dense")
    layer.build((None, 2))
    layer.kernel.assign(np.arange(2 * width, dtype="float32").reshape(2, width) + first)
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    seed = keras.random.SeedGenerator(7)
    return [*layer.trainable_variables, *optimizer.variables, seed.state]


def values(of):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in of]


def state(step, **more):
    return {"step": step, "best": None, **more}


@pytest.fixture
def checkpoints(tmp_path):
    made = Checkpoints(tmp_path)
    yield made
    made.close()


@pytest.fixture
def three(checkpoints):
    """Three checkpoints were written, of which the last two are kept; gives the two states."""
    for number in (1, 2, 3):
        checkpoints.save(variables(first=10.0 * number), state(number))
    checkpoints.wait()
    return checkpoints


def files(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir() if path.name != "lock")


def test_what_was_saved_comes_back_to_the_bit(checkpoints):
    saved = variables(first=0.1)
    saved[2].assign(12345)
    checkpoints.save(saved, state(5, loss=0.1 + 0.2, files={"a": [1, 2]}))
    checkpoints.wait()
    found, damaged = checkpoints.newest()
    assert damaged == []
    assert found.number == 1
    assert found.state == {
        **state(5, loss=0.30000000000000004, files={"a": [1, 2]}), "best_checkpoint": None,
    }  # fmt: skip
    other = variables(first=5.0)
    checkpoints.assign(found, other)
    for one, two in zip(values(other), values(saved), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def test_the_files_are_safetensors_by_position_and_json(checkpoints):
    checkpoints.save(variables(), state(5))
    checkpoints.wait()
    assert files(checkpoints) == ["000001.json", "000001.safetensors"]
    arrays = load_file(checkpoints.folder / "000001.safetensors")
    assert sorted(arrays, key=int) == [str(position) for position in range(len(arrays))]
    np.testing.assert_array_equal(arrays["0"], [[0, 1, 2], [3, 4, 5]])
    content = json.loads((checkpoints.folder / "000001.json").read_text())["content"]
    assert content["variables"][:2] == [["dense/kernel", [2, 3]], ["dense/bias", [3]]]


def test_the_last_two_and_the_best_of_each_are_kept(checkpoints):
    kept = []
    for number, best in enumerate([1, 1, 1, 4, 4, 4], 1):
        checkpoints.save(variables(), state(number), best=best)
        checkpoints.wait()
        kept.append([int(name[:6]) for name in files(checkpoints) if name.endswith(".json")])
    # When 4 becomes the best, 1 stays as long as 3 is there, which names it.
    assert kept == [[1], [1, 2], [1, 2, 3], [1, 3, 4], [4, 5], [4, 5, 6]]
    assert len(files(checkpoints)) == 6


def test_the_best_of_the_one_that_a_run_goes_on_from_is_kept_too(tmp_path):
    first = Checkpoints(tmp_path)
    for number in (1, 2, 3):
        first.save(variables(), state(number), best=1)
    first.wait()
    first.close()
    second = Checkpoints(tmp_path)
    second.newest()
    second.save(variables(), state(4), best=4)
    second.wait()
    assert [name[:6] for name in files(second)[::2]] == ["000001", "000003", "000004"]
    second.close()


def test_values_are_those_of_the_moment_of_saving(checkpoints, monkeypatch):
    """Also where the backend moves the memory itself, and the thread writes later."""
    saved = variables(first=1.0)
    expected = values(saved)
    go_on = threading.Event()
    write = Checkpoints._write
    monkeypatch.setattr(
        Checkpoints, "_write", lambda *arguments: go_on.wait() and write(*arguments)
    )
    checkpoints.save(saved, state(1))
    for variable in saved:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    if keras.backend.backend() == "torch":
        saved[0].value.data.zero_()
    go_on.set()
    checkpoints.wait()
    other = variables()
    checkpoints.assign(checkpoints.newest()[0], other)
    for one, two in zip(values(other), expected, strict=True):
        np.testing.assert_array_equal(one, two)


def test_saving_does_not_wait_for_the_disk(checkpoints, monkeypatch):
    go_on = threading.Event()
    write = Checkpoints._write
    monkeypatch.setattr(
        Checkpoints, "_write", lambda *arguments: go_on.wait(10) and write(*arguments)
    )
    started = time.perf_counter()
    checkpoints.save(variables(), state(1))
    assert time.perf_counter() - started < 5
    assert files(checkpoints) == []
    go_on.set()
    checkpoints.wait()
    assert len(files(checkpoints)) == 2


def test_the_rows_are_on_the_disk_before_the_checkpoint_is_valid(checkpoints):
    seen = []
    checkpoints.save(variables(), state(1), sync=lambda: seen.append(files(checkpoints)))
    checkpoints.wait()
    assert seen == [["000001.safetensors"]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number_does_not_take_the_place_of_a_good_one(three, value):
    before = files(three)
    bad = variables()
    kernel = values(bad)[0]
    kernel[1, 2] = value
    bad[0].assign(kernel)
    three.save(bad, state(4))
    with pytest.raises(NonFiniteValue, match=r"^dense/kernel became NaN or infinite by step 4"):
        three.wait()
    assert files(three) == before
    assert three.newest()[0].state["step"] == 3


def test_a_moment_that_is_nan_does_not_either(three):
    bad = variables()
    position = next(i for i, each in enumerate(bad) if each.path.endswith("velocity"))
    bad[position].assign(np.full(tuple(bad[position].shape), np.nan, "float32"))
    three.save(bad, state(4))
    with pytest.raises(NonFiniteValue, match="velocity became NaN"):
        three.save(variables(), state(5))


def test_a_buffer_may_be_infinite(checkpoints):
    mask = keras.Variable(np.full(3, -np.inf, "float32"), trainable=False, name="mask")
    checkpoints.save([mask], state(1))
    checkpoints.wait()
    assert checkpoints.newest()[0].state["step"] == 1


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_integers_are_cast(checkpoints, dtype):
    """As backends keep them: iteration int32 or int64, seeds int32, int64 or uint32."""
    saved = variables()
    checkpoints.save(saved, state(1))
    checkpoints.wait()
    change_tensor(checkpoints, 1, str(len(saved) - 1), lambda array: array.astype(dtype) + 5)
    other = variables()
    checkpoints.assign(checkpoints.newest()[0], other)
    np.testing.assert_array_equal(values(other)[-1], values(saved)[-1] + 5)
    assert values(other)[-1].dtype == values(saved)[-1].dtype


def test_an_integer_that_does_not_fit_is_no_other_integer(checkpoints):
    saved = variables()
    checkpoints.save(saved, state(1))
    checkpoints.wait()
    change_tensor(checkpoints, 1, "2", lambda array: np.array(2**40, "int64"))
    other = variables()
    before = values(other)
    if before[2].dtype == "int64":
        pytest.skip("it fits here")
    with pytest.raises(InputError, match=r"iteration is 1099511627776 in .*int32 cannot hold"):
        checkpoints.assign(checkpoints.newest()[0], other)
    for one, two in zip(values(other), before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_paths_without_the_counters_of_a_process():
    assert normalized("adam_5/sequential_1_dense_12_kernel_momentum") == (
        "adam/sequential_dense_kernel_momentum"
    )
    assert normalized("conv2d_3/kernel") == normalized("conv2d/kernel") == "conv2d/kernel"
    assert normalized("lenet5/c1/kernel") == "lenet5/c1/kernel"


def test_names_of_another_process_do_not_matter(checkpoints):
    def unnamed():
        layer = keras.layers.Dense(2)
        layer.build((None, 2))
        return layer.trainable_variables

    first, second = unnamed(), unnamed()
    assert first[0].path != second[0].path
    checkpoints.save(first, state(1))
    checkpoints.wait()
    checkpoints.assign(checkpoints.newest()[0], second)
    np.testing.assert_array_equal(values(second)[0], values(first)[0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda: variables(width=4),
            r"variable 0 is dense/kernel of shape \(2, 3\) in the checkpoint .*000001.safetensors, "
            r"and dense/kernel of shape \(2, 4\) now",
        ),
        (
            lambda: variables()[1:],
            r"variable 0 is dense/kernel of shape \(2, 3\) in .*, and dense/bias of shape \(3,\)",
        ),
        (lambda: variables()[:-1], r"seed_generator_state of shape \(.*\) in .*, and missing now"),
        (lambda: [*variables(), *variables()[:1]], r"is missing in .*, and dense/kernel of shape"),
        (lambda: [variables()[i] for i in (0, 2, 1)], r"variable 1 is dense/bias"),
    ],
)
def test_other_variables_are_refused_and_none_is_changed(checkpoints, change, told):
    checkpoints.save(variables(first=9.0), state(1))
    checkpoints.wait()
    other = change()
    before = values(other)
    with pytest.raises(InputError, match=f"the code has changed: .*{told}"):
        checkpoints.assign(checkpoints.newest()[0], other)
    for one, two in zip(values(other), before, strict=True):
        np.testing.assert_array_equal(one, two)


# Faults of the newest of three checkpoints.


def newest_files(checkpoints):
    return checkpoints.folder / "000003.safetensors", checkpoints.folder / "000003.json"


def truncate(path, size):
    os.truncate(path, size)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def sign(checkpoints, number, tensors=None, **content):
    """Writes a checkpoint whose checksums are right: what a hostile hand would do."""
    path = checkpoints.folder / f"{number:06d}.json"
    signed = json.loads(path.read_text())["content"]
    if tensors is not None:
        (checkpoints.folder / f"{number:06d}.safetensors").write_bytes(tensors)
        signed["sha256"] = hashlib.sha256(tensors).hexdigest()
    signed |= content
    path.write_text(json.dumps({"sha256": checkpoint._json_checksum(signed), "content": signed}))


def change_tensor(checkpoints, number, name, change):
    arrays = load_file(checkpoints.folder / f"{number:06d}.safetensors")
    sign(checkpoints, number, save({**arrays, name: change(arrays[name])}))


class Payload:
    """What a pickle executes when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


PICKLE = pickle.dumps(Payload())
FAULTS = {
    "tensors truncated": lambda tensors, rest: truncate(tensors, 100),
    "tensors empty": lambda tensors, rest: truncate(tensors, 0),
    "tensors deleted": lambda tensors, rest: tensors.unlink(),
    "tensors a folder": lambda tensors, rest: (tensors.unlink(), tensors.mkdir()),
    "first byte of tensors": lambda tensors, rest: flip(tensors, 0),
    "a byte in the middle of tensors": lambda tensors, rest: flip(tensors, 600),
    "last byte of tensors": lambda tensors, rest: flip(tensors, -1),
    "tensors of the one before": lambda tensors, rest: shutil.copy(
        tensors.with_name("000002.safetensors"), tensors
    ),
    "a pickle as tensors": lambda tensors, rest: tensors.write_bytes(PICKLE),
    "JSON truncated": lambda tensors, rest: truncate(rest, 100),
    "JSON empty": lambda tensors, rest: truncate(rest, 0),
    "a digit in JSON": lambda tensors, rest: rest.write_text(
        rest.read_text().replace('"step": 3', '"step": 2')
    ),
    "a pickle as JSON": lambda tensors, rest: rest.write_bytes(PICKLE),
    "JSON without end": lambda tensors, rest: rest.write_text("[" * 1_000_000),
    "JSON of something else": lambda tensors, rest: rest.write_text("[1, 2]"),
    "JSON of enormous size": lambda tensors, rest: truncate(rest, 2**40),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checkpoint_before_is_used(three, fault, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    FAULTS[fault](*newest_files(three))
    found, ((number, reason),) = three.newest()
    assert (number, found.number, found.state["step"]) == (3, 2, 2)
    assert reason.startswith("is damaged: 000003.")
    assert "\n" not in reason
    other = variables()
    three.assign(found, other)
    np.testing.assert_array_equal(values(other)[0][0], [20, 21, 22])
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_whose_json_is_gone_is_none(three):
    newest_files(three)[1].unlink()
    found, damaged = three.newest()
    assert (found.number, damaged) == (2, [])


def header(length, content=b"{}"):
    return length.to_bytes(8, "little") + content


TENSOR = b'{"0":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
HOSTILE = {
    "a pickle": PICKLE,
    "a pickle behind a header": header(2) + PICKLE,
    "an enormous header": header(2**63 - 1),
    "a header of 10 GB": header(10 * 2**30),
    "a header behind the end": header(2**20),
    "no JSON": header(4, b"....") + bytes(24),
    "a tensor behind the end": header(len(TENSOR), TENSOR),
    "other tensors": header(len(TENSOR), TENSOR) + bytes(24),
    "a path as a name": save({"../../etc/passwd": np.zeros(3, "float32")}),
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_tensors_with_the_right_checksum_are_not_used(
    three, content, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    sign(three, 3, HOSTILE[content])
    found, ((number, reason),) = three.newest()
    assert (number, found.number) == (3, 2)
    assert reason.startswith("is damaged: 000003.safetensors")
    assert "\n" not in reason
    assert not (tmp_path / "executed").exists()


def test_a_tensor_of_another_shape_than_was_promised(three):
    change_tensor(three, 3, "0", lambda array: np.zeros((2, 4), "float32"))
    found, ((_, reason),) = three.newest()
    assert found.number == 2
    assert "000003.safetensors has other tensors than 000003.json says" in reason


def test_where_no_checkpoint_is_whole_nothing_is_changed(three):
    for path in three.folder.glob("*.safetensors"):
        flip(path, 600)
    before = {path: path.read_bytes() for path in three.folder.iterdir() if path.is_file()}
    with pytest.raises(
        InputError, match=r"^no checkpoint in .* can be used; the newest, 3, is damaged: .*new run"
    ):
        three.newest()
    assert before == {path: path.read_bytes() for path in three.folder.iterdir()}


def test_a_checkpoint_that_does_not_belong_to_the_run(three):
    def check(found):
        if found["step"] == 3:
            raise Damaged("is of another run")

    found, damaged = three.newest(check)
    assert (found.number, damaged) == (2, [(3, "is of another run")])


def test_the_next_checkpoints_do_not_take_the_place_of_the_one_that_is_used(three):
    flip(newest_files(three)[0], 600)
    found, _ = three.newest()
    assert three.next_number == 4
    three.save(variables(), state(7))
    three.wait()
    kept = [f"{number:06d}.{end}" for number in (2, 4) for end in ("json", "safetensors")]
    assert files(three) == kept
    assert found.number == 2
    assert three.newest()[0].state["step"] == 7


def test_a_full_disk_leaves_the_checkpoints_before(three):
    before = {name: (three.folder / name).read_bytes() for name in files(three)}
    with pytest.raises(
        CannotWrite, match=r"^cannot write .*000004.safetensors \(File too large\): make room"
    ):
        with files_end_at(3000):
            three.save(variables(width=1000), state(4))  # in a thread, which may begin at once
            three.wait()
    assert before == {name: (three.folder / name).read_bytes() for name in files(three)}
    assert three.newest()[0].number == 3


def test_a_small_disk_that_is_full(tmp_path):
    with small_disk(tmp_path, 64) as disk:
        checkpoints = Checkpoints(disk)
        for number in (1, 2):
            checkpoints.save(variables(first=float(number)), state(number))
        checkpoints.wait()
        checkpoints.save(variables(width=5000), state(3))
        with pytest.raises(
            CannotWrite, match=r"^cannot write .*000003.safetensors \(No space left on device\)"
        ):
            checkpoints.wait()
        assert [name[:6] for name in files(checkpoints)] == ["000001"] * 2 + ["000002"] * 2
        found, damaged = checkpoints.newest()
        assert (found.state["step"], damaged) == (2, [])
        checkpoints.close()


def test_a_read_only_folder():
    with writable_folder() as folder:
        checkpoints = Checkpoints(folder)
        checkpoints.save(variables(), state(1))
        checkpoints.wait()
        with read_only(checkpoints.folder):
            with pytest.raises(CannotWrite, match=r"000002.safetensors \(Permission denied\)"):
                checkpoints.save(variables(), state(2))
                checkpoints.wait()
        assert checkpoints.newest()[0].number == 1
        checkpoints.close()
        lock = folder / "checkpoints" / "lock"
        if lock.exists():
            lock.chmod(0o444)
        with read_only(folder / "checkpoints"):
            with pytest.raises(CannotWrite, match=r"^cannot write .*lock \(Permission denied\)"):
                Checkpoints(folder)


def test_a_second_process_is_refused_until_the_first_is_over(tmp_path):
    first = Checkpoints(tmp_path)
    script = (
        "import sys; from pathlib import Path; from recipes.training import checkpoint\n"
        "try:\n    checkpoint.Checkpoints(Path(sys.argv[1])).close()\n"
        "except checkpoint.InputError as error:\n    print(error)\nelse:\n    print('free')"
    )

    def second():
        words = [sys.executable, "-c", script, str(tmp_path)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert re.fullmatch(f"another process is running {tmp_path}: wait until .*", second())
    first.close()
    assert second() == "free"
