"""Checksums as CDI writes them: "sha256:<hexadecimal digits>"; of the bytes as the source serves them."""

import hashlib
import hmac

from hostler.runtime.errors import Terminal

KNOWN = ("md5", "sha1", "sha256", "sha512")


class Digest:
    """Sums up what passes; without an expectation it costs nothing."""

    def __init__(self, expected: str | None) -> None:
        name, _, self._digits = (expected or "").partition(":")
        self._name = name
        if expected and name not in KNOWN:
            raise Terminal("ChecksumInvalid", f"spec.source.http.checksum: {name!r} is none of {', '.join(KNOWN)}")
        self._sum = hashlib.new(name, usedforsecurity=False) if expected else None

    @property
    def wanted(self) -> bool:
        return self._sum is not None

    def update(self, data: bytes) -> None:
        if self._sum is not None:
            self._sum.update(data)

    def check(self) -> None:
        """Terminal if the bytes were others than those that were promised."""
        if self._sum is not None and not hmac.compare_digest(self._sum.hexdigest(), self._digits.lower()):
            found = self._sum.hexdigest()
            raise Terminal(
                "ChecksumMismatch", f"{self._name} of the source is {found}, expected {self._digits.lower()}"
            )
