"""A certificate that nobody has signed, as a fresh vCenter has one."""

import datetime
import hashlib
import ssl
from pathlib import Path

from hostler.runtime import x509

DAYS = 825


def make(folder: Path, names: tuple[str, ...]) -> tuple[Path, Path]:
    """Write tls.crt and tls.key for these host names and addresses, unless they are there."""
    certificate, key_file = folder / "tls.crt", folder / "tls.key"
    if certificate.exists() and key_file.exists():
        return certificate, key_file
    now = datetime.datetime.now(datetime.UTC)
    begin, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(days=DAYS)
    made = x509.issue(x509.Wish(x509.subject("simulated vCenter"), begin, end, authority=True, names=names))
    key_file.touch(mode=0o600)
    key_file.write_bytes(made.private)
    certificate.write_bytes(made.pem)
    return certificate, key_file


def thumbprint(certificate: Path) -> str:
    """SHA-256 of the certificate, as vSphere's tools print it."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
