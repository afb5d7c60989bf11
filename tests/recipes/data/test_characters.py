import numpy as np
import pytest

from recipes.data import characters, tfds_arrays


def joined(parts):
    return "".join("".join(part) for (part,) in parts)


def test_embedded_text_is_what_help_says_of_topics():
    from pydoc_data.topics import topics

    parts = characters.embedded()
    text = joined(parts)
    assert text == "\n".join(topics[name] for name in sorted(topics))
    assert "assert" in topics and len(text) > 300_000
    shares = [len(part) / len(text) for (part,) in parts]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=1e-4)
    assert all(part.dtype == "<U1" and part.ndim == 1 for (part,) in parts)


def test_parts_of_a_file_follow_each_other(tmp_path):
    path = tmp_path / "own.txt"
    text = "".join(chr(97 + number % 26) for number in range(1234)) + "é\r\nœ"
    path.write_bytes("\ufeff".encode() + text.encode())
    parts = characters.from_file(path)
    assert joined(parts) == text.replace("\r\n", "\n")
    assert [len(part) for (part,) in parts] == [989, 124, 124]


def test_tfds_has_one_text_a_part(monkeypatch):
    def read(name, parts, columns):
        assert (name, parts, columns) == (
            "tiny_shakespeare", ("train", "validation", "test"), ("text",),
        )  # fmt: skip
        return tuple((np.array([f"{part}: é".encode()], dtype=object),) for part in parts)

    monkeypatch.setattr(tfds_arrays, "read", read)
    found = ["".join(part) for (part,) in characters.from_tfds()]
    assert found == ["train: é", "validation: é", "test: é"]


def test_too_short_a_file(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("a" * 999)
    with pytest.raises(ValueError, match="it has 999 characters, and needs 1,000 or more"):
        characters.from_file(path)
    path.write_text("a" * 1000)
    assert len(joined(characters.from_file(path))) == 1000
