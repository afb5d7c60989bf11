"""Files are whole or absent, also where the kernel refuses what is written."""

import json
import os
import shutil
import threading
import zlib
from pathlib import Path

import pytest

from recipes.training.errors import CannotWrite, InputError
from recipes.training.folder import (
    GrowingFile,
    cut,
    extent,
    make_folder,
    make_subfolder,
    whole_file,
    write_json,
)
from tests.full_disk import files_end_at, read_only, writable_folder


def test_folders_are_made_once_each_even_at_the_same_time(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(make_folder(tmp_path, "toy", "jax")))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20
    assert all(folder.is_dir() for folder in made)
    assert {folder.parent for folder in made} == {tmp_path / "toy"}


def test_a_folder_is_named_by_time_and_backend(tmp_path):
    folder = make_folder(tmp_path / "new" / "runs", "toy", "jax")
    assert folder.parent == tmp_path / "new" / "runs" / "toy"
    day, time, backend = folder.name.split("-")
    assert (len(day), len(time), backend) == (8, 6, "jax")
    assert (day + time).isdigit()


def test_a_folder_that_cannot_be_made_is_an_input_error():
    with writable_folder() as runs, read_only(runs):
        with pytest.raises(InputError, match=rf"{runs}/toy \(Permission denied\).*--runs$"):
            make_folder(runs, "toy", "jax")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path  # a rename works within one file system only
        assert temporary.suffix == ".json"
        assert json.loads(path.read_text()) == {"old": 1}
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
    write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"new": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_for_people_and_in_any_locale(tmp_path):
    write_json(tmp_path / "file.json", {"ä": [1]})
    text = (tmp_path / "file.json").read_bytes().decode("utf-8")
    assert text.startswith("{\n  ") and text.endswith("}\n")
    assert json.loads(text) == {"ä": [1]}


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})
    with pytest.raises(CannotWrite, match=rf"^cannot write {path} \(File too large\): make room"):
        with files_end_at(100):
            write_json(path, {"new": "x" * 200})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CannotWrite), files_end_at(100):
        write_json(tmp_path / "other.json", {"new": "x" * 200})
    assert list(tmp_path.iterdir()) == [path]


def test_a_reason_without_the_kernels_words_is_still_one_line(tmp_path):
    with pytest.raises(CannotWrite, match=r"file \(it broke here\): make room"):
        with whole_file(tmp_path / "file"):
            raise OSError("it broke\n   here")


def test_records_are_in_the_file_at_once(tmp_path):
    file = GrowingFile(tmp_path / "rows")
    file.write(b"first\n")
    assert (tmp_path / "rows").read_bytes() == b"first\n"
    file.write(b"second\n")
    assert (tmp_path / "rows").read_bytes() == b"first\nsecond\n"
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"third\n")


def test_a_growing_file_never_takes_the_place_of_another(tmp_path):
    (tmp_path / "rows").write_bytes(b"kept")
    with pytest.raises(CannotWrite, match="File exists"):
        GrowingFile(tmp_path / "rows")
    assert (tmp_path / "rows").read_bytes() == b"kept"


@pytest.mark.parametrize("room", [12, 15, 20])
def test_a_record_that_does_not_fit_is_not_begun(tmp_path, room):
    """The kernel takes what fits and fails for the rest: 0, 3 or 8 of 10 bytes."""
    file = GrowingFile(tmp_path / "rows")
    file.write(b"first record")
    with pytest.raises(CannotWrite, match=r"rows \(File too large\)"):
        with files_end_at(room):
            file.write(b"0123456789")
    assert (tmp_path / "rows").read_bytes() == b"first record"
    # And the next one stands where that one would have begun.
    file.write(b" next")
    assert (tmp_path / "rows").read_bytes() == b"first record next"
    file.close()


def test_a_growing_file_goes_on_where_it_is_told(tmp_path):
    file = GrowingFile(tmp_path / "rows")
    file.write(b"first\n")
    size, checksum = file.extent
    assert (size, checksum) == (6, zlib.crc32(b"first\n")) == extent(tmp_path / "rows")
    file.write(b"second\nthi")
    file.sync()
    file.close()
    assert extent(tmp_path / "rows", 6) == (6, checksum)
    file = GrowingFile(tmp_path / "rows", kept=6)
    assert (tmp_path / "rows").read_bytes() == b"first\n"
    assert file.extent == (6, checksum)
    file.write(b"2\n")
    assert file.extent == (8, zlib.crc32(b"first\n2\n"))
    file.close()
    assert (tmp_path / "rows").read_bytes() == b"first\n2\n"
    GrowingFile(tmp_path / "new", kept=0).close()
    assert (tmp_path / "new").read_bytes() == b""


def test_the_extent_of_what_is_not_there(tmp_path):
    (tmp_path / "rows").write_bytes(b"123")
    assert extent(tmp_path / "rows", 4) is None
    assert extent(tmp_path / "rows", 0) == extent(tmp_path / "none") == (0, 0)
    assert extent(tmp_path / "none", 1) is None


def test_a_whole_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Else a name without its content could be left when the power fails."""
    done = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(descriptor):
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real["fsync"](descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(
        os, "replace", lambda *pair: done.append("renamed") or real["replace"](*pair)
    )
    write_json(tmp_path / "file.json", {})
    assert done == ["unfinished-file.json", "renamed", tmp_path.name]


def test_a_file_that_was_removed_takes_no_records_in_silence(tmp_path):
    folder = make_subfolder(tmp_path / "run")
    file = GrowingFile(folder / "rows")
    (folder / "rows").unlink()
    with pytest.raises(CannotWrite, match=r"run/rows \(it was removed\)"):
        file.write(b"record")
    shutil.rmtree(folder)
    with pytest.raises(CannotWrite, match=r"run/rows \(the folder was removed while"):
        file.write(b"record")
    file.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_json(folder / "file", {}),
        lambda folder: GrowingFile(folder / "file"),
        lambda folder: make_subfolder(folder / "file"),
    ],
)
def test_a_folder_that_is_gone_or_read_only(write):
    with writable_folder() as parent:
        folder = make_subfolder(parent / "run")
        with read_only(folder):
            with pytest.raises(CannotWrite, match=rf"{folder}/file \(Permission denied\)"):
                write(folder)
        assert list(folder.iterdir()) == []
        folder.rmdir()
        with pytest.raises(CannotWrite, match=rf"{folder}/file \(the folder was removed"):
            write(folder)
        assert list(parent.iterdir()) == []


def test_a_subfolder_is_made_where_it_is_not_there(tmp_path):
    for _ in range(2):
        assert make_subfolder(tmp_path / "sub") == tmp_path / "sub"
        assert (tmp_path / "sub").is_dir()
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(CannotWrite, match=r"/file \(File exists\)"):
        make_subfolder(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_file_is_cut(tmp_path):
    (tmp_path / "rows").write_bytes(b"first\nhalf")
    cut(tmp_path / "rows", 6)
    assert (tmp_path / "rows").read_bytes() == b"first\n"
    with pytest.raises(CannotWrite, match=r"none \(No such file"):
        cut(tmp_path / "none", 6)
