"""What a run records of its machine: device, thread count and versions."""

import importlib.metadata
import os
import platform

import keras

_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
}


def versions():
    """{package: version} of everything that decides the numbers of a run."""
    found = {"python": platform.python_version()}
    for package in ("keras", "numpy", *_PACKAGES[keras.backend.backend()]):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # TensorFlow comes as one of two
    return found


def device():
    """The name of the device that the backend computes on, such as "NVIDIA H100" or a CPU's."""
    return accelerator() or _processor()


def accelerator():
    """The name of the GPU or TPU that the backend computes on; None on a CPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    elif backend == "jax":
        import jax

        if jax.default_backend() != "cpu":
            return jax.devices()[0].device_kind
    else:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return None


def thread_count():
    """Number of threads that one operation may use on the CPU; another number, other bits."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if backend == "tensorflow":
        import tensorflow as tf

        # 0 is its word for all cores.
        return tf.config.threading.get_intra_op_parallelism_threads() or cores
    return cores  # JAX takes them all


def make_deterministic():
    """Makes a GPU repeat its operations to the bit, as a CPU does anyway; it takes longer.

    For the whole process, and before anything is computed: XLA reads its flags once.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    else:
        import torch

        # What cuBLAS asks for.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass  # no Linux
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
