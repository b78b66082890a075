"""Certificates: who may say what they are, checked as a client checks them."""

from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster import layout, pki
from cluster.layout import Cluster


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path)
    made = Cluster("a", 0, 2)
    pki.issue(made)
    return made


def read(cluster: Cluster, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((cluster.pki / f"{name}.crt").read_bytes())


def test_the_api_server_is_found_under_all_its_names(cluster):
    names = read(cluster, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"} <= set(
        names.get_values_for_type(x509.DNSName)
    )
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        cluster.api,
        cluster.control,
        IPv4Address("127.0.0.1"),
    }


@pytest.mark.parametrize(
    ("file", "name", "groups"),
    [
        ("admin", "hostler-admin", ["system:masters"]),
        ("kubelet-a-2", "system:node:a-2", ["system:nodes"]),
        ("scheduler", "system:kube-scheduler", []),
        ("provisioner", "hostler:provisioner", []),
    ],
)
def test_clients_are_who_they_should_be(cluster, file, name, groups):
    subject = read(cluster, file).subject
    assert [one.value for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [name]
    assert [one.value for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == groups
    usage = read(cluster, file).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH], "a client's certificate serves nobody"


def test_every_certificate_is_signed_by_its_authority_and_by_no_other(cluster):
    for identity in pki.identities(cluster):
        certificate = read(cluster, identity.file)
        certificate.verify_directly_issued_by(read(cluster, identity.authority))
        other = pki.CA if identity.authority == pki.FRONT_PROXY_CA else pki.FRONT_PROXY_CA
        with pytest.raises(ValueError, match="does not match certificate issuer"):
            certificate.verify_directly_issued_by(read(cluster, other))


def test_nobody_else_can_read_the_keys(cluster):
    keys = list(cluster.pki.glob("*.key"))
    assert len(keys) == len(pki.identities(cluster)) + 3
    assert {path.stat().st_mode & 0o077 for path in [*keys, cluster.pki]} == {0}


def test_what_is_good_stays(cluster):
    before = {path.name: path.read_bytes() for path in cluster.pki.iterdir()}
    pki.issue(cluster)
    assert {path.name: path.read_bytes() for path in cluster.pki.iterdir()} == before


def test_what_ends_soon_or_is_damaged_is_issued_anew(cluster, monkeypatch):
    before = {name: read(cluster, name).serial_number for name in ("admin", "scheduler", "ca")}
    (cluster.pki / "admin.crt").write_text("damaged")
    pki.issue(cluster)
    after = {name: read(cluster, name).serial_number for name in before}
    assert after["admin"] != before["admin"]
    assert (after["scheduler"], after["ca"]) == (before["scheduler"], before["ca"])
    monkeypatch.setattr(pki, "RENEW", pki.LIFE)
    pki.issue(cluster)
    assert read(cluster, "ca").serial_number != before["ca"]
    read(cluster, "scheduler").verify_directly_issued_by(read(cluster, "ca"))


def test_a_certificate_holds_now_and_for_long(cluster):
    certificate = read(cluster, "admin")
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc - pki.RENEW
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
