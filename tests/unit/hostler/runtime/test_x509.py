"""Certificates: what they say, who signed them, and that a strict client takes the chain."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from hostler.runtime import x509

NOW = datetime.now(UTC).replace(microsecond=0)
LIFE = {"begin": NOW - timedelta(minutes=5), "end": NOW + timedelta(days=1)}
CA = x509.issue(x509.Wish(x509.subject("authority"), **LIFE, authority=True))
SERVER = x509.issue(
    x509.Wish(x509.subject("web"), **LIFE, purposes=(x509.SERVER,), names=("web.example", "10.0.0.1")), CA
)
CLIENT = x509.issue(x509.Wish(x509.subject("me", ("us",)), **LIFE, purposes=(x509.CLIENT,), enciphers=True), CA)


def said(pair: x509.Pair, kind: type) -> object:
    return pair.certificate.extensions.get_extension_for_class(kind).value


def test_names_and_times() -> None:
    names = said(SERVER, library.SubjectAlternativeName)
    assert list(names) == [library.DNSName("web.example"), library.IPAddress(ip_address("10.0.0.1"))]
    assert CLIENT.certificate.subject.rfc4514_string() == "CN=me,O=us"
    assert (SERVER.certificate.not_valid_before_utc, SERVER.certificate.not_valid_after_utc) == tuple(LIFE.values())


@pytest.mark.parametrize(
    ("pair", "signs", "enciphers"), [(CA, True, False), (SERVER, False, False), (CLIENT, False, True)]
)
def test_what_they_may(pair: x509.Pair, signs: bool, enciphers: bool) -> None:
    usage = said(pair, library.KeyUsage)
    assert (usage.digital_signature, usage.key_cert_sign, usage.key_encipherment) == (True, signs, enciphers)
    assert said(pair, library.BasicConstraints).ca == signs


def test_who_signed() -> None:
    for pair in (CA, SERVER, CLIENT):
        pair.certificate.verify_directly_issued_by(CA.certificate)
    with pytest.raises(ValueError, match="does not match"):
        SERVER.certificate.verify_directly_issued_by(CLIENT.certificate)


def test_pem_and_back() -> None:
    again = x509.Pair.load(SERVER.pem, SERVER.private)
    assert again.certificate == SERVER.certificate
    assert again.private == SERVER.private
    assert x509.public(again.key).startswith(b"-----BEGIN PUBLIC KEY-----")


def test_a_strict_client_takes_the_chain(tmp_path) -> None:
    """As Python 3.13 does by default."""
    (tmp_path / "pem").write_bytes(SERVER.pem + SERVER.private)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "pem")
    asking = ssl.create_default_context(cadata=CA.pem.decode())
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname="web.example")
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server):  # each waits for the other
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    client.do_handshake()
    server.do_handshake()
    assert dict(part[0] for part in client.getpeercert()["subject"]) == {"commonName": "web"}


def private(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def test_an_authority_of_rsa_signs_too() -> None:
    key = rsa.generate_private_key(65537, 2048)
    given = x509.Pair.load(CA.pem, private(key))
    issued = x509.issue(x509.Wish(x509.subject("web"), **LIFE), given)
    assert issued.certificate.signature_algorithm_oid == library.SignatureAlgorithmOID.RSA_WITH_SHA256


def test_keys_of_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="P-256 or RSA"):
        x509.Pair.load(CA.pem, private(ed25519.Ed25519PrivateKey.generate()))
