"""A small MNIST folder as TFDS prepares it, written without TFDS's own (TensorFlow's) writer."""

import io
import json

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

COUNTS = {"train": 60, "test": 20}
FEATURES = {
    "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
    "featuresDict": {
        "features": {
            "image": {
                "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
                "image": {"dtype": "uint8", "shape": {"dimensions": ["28", "28", "1"]}},
            },
            "label": {
                "pythonClassName": (
                    "tensorflow_datasets.core.features.class_label_feature.ClassLabel"
                ),
                "classLabel": {"numClasses": "10"},
            },
        }
    },
}


def arrays(split):
    """(images, labels) of a split."""
    generator = np.random.default_rng(COUNTS[split])
    images = generator.integers(0, 256, (COUNTS[split], 28, 28, 1), dtype="uint8")
    return images, np.arange(COUNTS[split]) % 10


def write(data_dir, file_format="array_record"):
    """Writes mnist/3.0.1 into a TFDS data folder, and returns the version's folder."""
    folder = data_dir / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for split in COUNTS:
        writer = ArrayRecordWriter(str(records(folder, split)), "group_size:1")
        for image, label in zip(*arrays(split), strict=True):
            writer.write(_example(image, label).SerializeToString())
        writer.close()
    information = {
        "name": "mnist",
        "version": "3.0.1",
        "fileFormat": file_format,
        "splits": [
            {
                "name": split,
                "shardLengths": [str(count)],
                "numBytes": "1",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, count in COUNTS.items()
        ],
    }
    (folder / "dataset_info.json").write_text(json.dumps(information))
    (folder / "features.json").write_text(json.dumps(FEATURES))
    return folder


def records(folder, split):
    return folder / f"mnist-{split}.array_record-00000-of-00001"


def _example(image, label):
    png = io.BytesIO()
    Image.fromarray(image[..., 0]).save(png, "PNG")
    example = tf_example_pb2.Example()
    example.features.feature["image"].bytes_list.value.append(png.getvalue())
    example.features.feature["label"].int64_list.value.append(int(label))
    return example
