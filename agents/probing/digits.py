"""Pictures read pixel by pixel: scikit-learn's 8 x 8 digits, and MNIST or CIFAR-10 from the user's own files.

Sources: the formats of LeCun's MNIST page (idx) and of Krizhevsky's CIFAR-10 page (binary version). The
pickled version of CIFAR-10 is not read: a pickle runs whatever its author wrote into it.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from agents.config import stream_seed
from agents.probing.task import Batch

NUM_CLASSES = 10
CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD = 1 + 3 * 32 * 32
"""Bytes of one picture: its class, then the red, green and blue planes."""
NUM_HELD_OUT_DIGITS = 360


class Pictures(NamedTuple):
    """Pictures as sequences of pixels, row by row."""

    name: str
    """digits, mnist or cifar10."""
    brightest: int
    """Value that stands for 1."""
    pixels: np.ndarray
    """[N, T, C] uint8."""
    labels: np.ndarray
    """[N] int64: 0 … 9."""
    held_out_pixels: np.ndarray
    held_out_labels: np.ndarray


def load(folder: Path | None) -> Pictures:
    """The pictures in a folder, or scikit-learn's digits where none is given.

    Raises:
        ValueError: scikit-learn is not installed, or the folder holds neither MNIST nor CIFAR-10, or a
            file is damaged.
    """
    if folder is None:
        return load_digits()
    if not folder.is_dir():
        raise ValueError(f"--data {folder} is no folder")
    if find_idx(folder, "train-images", 3):
        return load_mnist(folder)
    if list(folder.glob("data_batch_*.bin")):
        return load_cifar(folder)
    raise ValueError(
        f"--data {folder}: neither MNIST (train-images-idx3-ubyte[.gz], ...) nor CIFAR-10's binary version "
        "(data_batch_1.bin, ...)"
    )


def load_digits() -> Pictures:
    """1 797 digits of 8 x 8 pixels; 360 of them, always the same, are held out."""
    try:
        from sklearn import datasets
    except ImportError:
        raise ValueError(
            "the digits come with scikit-learn, which is not here: "
            "pip install -c constraints.txt -e '.[probe]'"
        ) from None
    images, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pixels = images[order].astype(np.uint8)[..., None]
    labels = labels[order].astype(np.int64)
    count = NUM_HELD_OUT_DIGITS
    return Pictures("digits", 16, pixels[count:], labels[count:], pixels[:count], labels[:count])


def find_idx(folder: Path, name: str, rank: int) -> Path | None:
    """MNIST's file of a name, packed or not, with the dash or the dot that some copies have."""
    for ending in (f"-idx{rank}-ubyte", f".idx{rank}-ubyte"):
        for path in (folder / (name + ending), folder / (name + ending + ".gz")):
            if path.is_file():
                return path
    return None


def load_mnist(folder: Path) -> Pictures:
    """MNIST, or any set of its form (Fashion-MNIST), from the four original files."""
    parts = []
    for part in ("train", "t10k"):
        arrays = []
        for name, rank in ((f"{part}-images", 3), (f"{part}-labels", 1)):
            path = find_idx(folder, name, rank)
            if path is None:
                raise ValueError(f"--data {folder} lacks {name}-idx{rank}-ubyte[.gz]")
            arrays.append(read_idx(path, rank))
        images, labels = arrays
        if not 0 < len(images) == len(labels):
            raise ValueError(f"{folder}: {len(images)} {part} images, but {len(labels)} labels")
        parts += [images.reshape(len(images), -1, 1), checked_labels(labels, folder)]
    if parts[0].shape[1] != parts[2].shape[1]:
        raise ValueError(f"{folder}: training and test images are of different sizes")
    return Pictures("mnist", 255, *parts)


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Reads an array of bytes in the idx format, packed by gzip or not.

    Raises:
        ValueError: one line; another type or rank than asked for, or a size that the header does not tell.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
    start = 4 + 4 * rank
    if len(content) < start or content[:4] != bytes((0, 0, 8, rank)):
        raise ValueError(f"{path} is no idx file of bytes with {rank} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", rank, 4))
    wanted = start + int(np.prod(shape, dtype=object))
    if len(content) != wanted:
        raise ValueError(f"{path} is damaged: {len(content):,} bytes where its header tells {wanted:,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def load_cifar(folder: Path) -> Pictures:
    """CIFAR-10 from its binary version: data_batch_*.bin and test_batch.bin."""
    training = [read_cifar(path) for path in sorted(folder.glob("data_batch_*.bin"))]
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*training, strict=True))
    return Pictures("cifar10", 255, pixels, labels, *read_cifar(folder / "test_batch.bin"))


def read_cifar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 1024, 3] and labels [N] of one file.

    Raises:
        ValueError: one line; no whole number of pictures, or a class above 9.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % CIFAR_RECORD:
        raise ValueError(f"{path} is damaged: {len(content):,} bytes are no multiple of {CIFAR_RECORD:,}")
    records = content.reshape(-1, CIFAR_RECORD)
    pixels = records[:, 1:].reshape(len(records), CIFAR_SHAPE[0], -1).transpose(0, 2, 1)
    return np.ascontiguousarray(pixels), checked_labels(records[:, 0], path)


def checked_labels(labels: np.ndarray, path: Path) -> np.ndarray:
    """Labels as int64; ValueError if one is above 9."""
    if labels.max() >= NUM_CLASSES:
        raise ValueError(f"{path} is damaged: class {labels.max()} where 0 … {NUM_CLASSES - 1} exist")
    return labels.astype(np.int64)


def stream(pictures: Pictures, permute: bool, seed: int, batch_size: int, held_out: bool) -> Iterator[Batch]:
    """Batches of pictures without end: each epoch in a new order, the held-out ones in an order of the seed.

    Args:
        pictures: where they come from.
        permute: the pixels of all pictures in one other order, always the same.
        seed: the run's.
        batch_size: B; where there are fewer held-out pictures, all of these.
        held_out: of the held-out pictures.

    Yields:
        Observations [T, B, C] float32 in 0 … 1 and the classes [1, B].
    """
    generator = np.random.default_rng(stream_seed(seed, "evaluation" if held_out else "environments"))
    pixels, labels = pictures.pixels, pictures.labels
    if held_out:
        pixels, labels = pictures.held_out_pixels, pictures.held_out_labels
    order = np.random.default_rng(0).permutation(pixels.shape[1]) if permute else slice(None)
    batch_size = min(batch_size, len(labels))
    while True:
        shuffled = generator.permutation(len(labels))
        for start in range(0, len(labels) - batch_size + 1, batch_size):
            chosen = shuffled[start : start + batch_size]
            rows = pixels[chosen][:, order].transpose(1, 0, 2).astype(np.float32) / pictures.brightest
            yield Batch(torch.from_numpy(rows), torch.from_numpy(labels[chosen][None]))
