"""User and password of a source, from the Secret that a pod has mounted."""

from pathlib import Path

from hostler.runtime.errors import Terminal

# ours, and those that CDI's sources have
KEYS = (("user", "password"), ("accessKeyId", "secretKey"))
LONGEST = 4096


def login(folder: Path) -> tuple[str, str]:
    """Terminal if the Secret has neither pair of keys."""
    for user, password in KEYS:
        if (folder / user).is_file() and (folder / password).is_file():
            return read(folder / user), read(folder / password)
    raise Terminal("SecretInvalid", "the Secret of the source needs the keys user and password")


def read(path: Path) -> str:
    with path.open() as file:
        return file.read(LONGEST).rstrip("\n")
