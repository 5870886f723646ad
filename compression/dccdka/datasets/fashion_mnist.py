"""Fashion-MNIST (Xiao et al., arXiv:1708.07747): Debian's package where it is installed, else a checked download."""

from __future__ import annotations

from pathlib import Path

import pooch
import requests

from dccdka.datasets.dataset import DatasetError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
# As published in that repository's README. (Debian compresses the files anew, so its files have other hashes.)
MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def fashion_mnist_folder() -> Path:
    """A folder with the four files; downloads them into the user's cache when neither Debian nor the cache has them."""
    if all((DEBIAN_FOLDER / name).is_file() for name in MD5):
        return DEBIAN_FOLDER
    return download(Path(pooch.os_cache("dccdka")) / "fashion-mnist", URL)


def download(folder: Path, url: str) -> Path:
    """Fetch what the folder lacks from the url and check every file's hash. Raises DatasetError naming the file."""
    files = pooch.create(path=folder, base_url=url, registry={name: f"md5:{md5}" for name, md5 in MD5.items()})
    for name in MD5:
        try:
            files.fetch(name)
        except (ValueError, OSError, requests.RequestException) as error:
            # pooch raises ValueError for a wrong hash.
            raise DatasetError(
                f"{folder / name}: no good copy from {url}{name} ({error}); install Debian's dataset-fashion-mnist or "
                "put the file there"
            ) from error
    return folder
