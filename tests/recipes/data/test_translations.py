import gzip
import zlib

import numpy as np
import pytest

from recipes.data import sources, translations

MULTI30K = [
    f"{part}.{language}"
    for part in ("train", "val", "test_2016_flickr")
    for language in ("en", "de")
]


def write(folder, **lines):
    """A folder with a line for each word; names have _ for the dot."""
    folder.mkdir(exist_ok=True)
    for name, words in lines.items():
        path = folder / name.replace("_", ".")
        path.write_text("".join(f"{word}\n" for word in words.split()), "utf-8")
    return folder


def small(folder, **more):
    lines = {"train_en": "a b c", "train_de": "x y z", "val_en": "d", "val_de": "v"}
    return write(folder, **{**lines, "test_en": "e f", "test_de": "t u", **more})


def test_embedded_pairs_are_the_same_everywhere():
    parts = translations.embedded()
    assert [len(part[0]) for part in parts] == [4000, 300, 300]
    pairs = [*zip(*map(np.concatenate, zip(*parts, strict=True)), strict=True)]
    assert len(set(pairs)) == len({source for source, _ in pairs}) == 4600
    assert zlib.crc32("\n".join(f"{one}\t{other}" for one, other in pairs).encode()) == CHECKSUM
    assert (
        "the cat buys the quiet book.", "die Katze kauft das stille Buch.",
    ) in pairs  # fmt: skip


CHECKSUM = 0x2C327FC0


def test_a_folder(tmp_path):
    parts = translations.from_file(small(tmp_path / "own"))
    assert [[side.tolist() for side in part] for part in parts] == [
        [["a", "b", "c"], ["x", "y", "z"]], [["d"], ["v"]], [["e", "f"], ["t", "u"]],
    ]  # fmt: skip


def test_a_folder_as_multi30k_comes(tmp_path):
    """Compressed, with a longer name of the test."""
    for name in MULTI30K:
        content = f"\ufeff {name} é \r\n".encode()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    parts = translations.from_file(tmp_path)
    found = [side.tolist() for part in parts for side in part]
    assert found == [[f"{name} é"] for name in MULTI30K]


def test_languages_other_than_english(tmp_path):
    for part in ("train", "val", "test"):
        for language in ("fr", "cs"):
            (tmp_path / f"{part}.{language}").write_text(f"{language}\n")
    for source, target in translations.from_file(tmp_path):
        assert source.tolist() == ["cs"] and target.tolist() == ["fr"]


@pytest.mark.parametrize(
    ("remove", "lines", "told"),
    [
        (["train.de"], {}, "it needs train.en and train.de, or two other languages, and has train"),
        (["train.de", "train.en"], {}, "has train in none"),
        (["test.de"], {}, "it has no test.de"),
        (["val.en"], {}, "it has no val.en"),
        ([], {"val_de": "v w"}, "val.en and val.de have 1 and 2 lines"),
    ],
)
def test_what_is_wrong_in_a_folder_is_said(remove, lines, told, tmp_path):
    folder = small(tmp_path / "own", **lines)
    for name in remove:
        (folder / name).unlink()
    with pytest.raises(ValueError) as error:
        translations.from_file(folder)
    assert told in str(error.value)


def test_an_empty_line_is_said(tmp_path):
    folder = small(tmp_path / "own")
    (folder / "test.de").write_text("t\n\n")
    with pytest.raises(ValueError, match=r"line 2 of test\.de is empty"):
        translations.from_file(folder)


def test_no_folder(tmp_path):
    (tmp_path / "own.txt").write_text("text")
    with pytest.raises(ValueError, match=r"it is no folder with train\.en, train\.de"):
        translations.from_file(tmp_path / "own.txt")


def test_the_checksum_of_a_folder_tells_of_its_files(tmp_path):
    folder, checksums = small(tmp_path / "own"), []
    for change in (
        lambda: None,
        lambda: (folder / "val.de").write_text("w\n"),
        lambda: (folder / "val.en").rename(folder / "val_2.en"),  # still the last
    ):
        change()
        checksums.append(sources.load(translations, "auto", str(folder))[1]["checksum"])
    assert len(set(checksums)) == 3
    assert sources.load(translations, "auto", str(folder))[1]["checksum"] == checksums[-1]
