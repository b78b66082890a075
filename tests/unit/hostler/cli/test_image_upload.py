"""An upload that nobody takes."""

import socket
from pathlib import Path

import pytest

from hostler.cli import image_upload
from hostler.runtime.errors import Terminal


def test_a_proxy_that_is_away(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"x")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Terminal) as caught:
            image_upload.send(image_upload.pool(None), url, "token", disk)
    assert caught.value.message == f"{url}/v1beta1/upload-async: connection refused: {image_upload.ADVICE}"


@pytest.mark.parametrize("url", ["ftp://there", "https://[there"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"x")
    with pytest.raises(Terminal, match="is --uploadproxy-url right"):
        image_upload.send(image_upload.pool(None), url, "token", disk)
