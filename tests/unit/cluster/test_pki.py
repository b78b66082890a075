"""Certificates: who may say what they are, checked as a client checks them."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster import layout, pki
from cluster.layout import Cluster
from hostler.runtime import x509 as ours


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


@pytest.mark.parametrize(
    ("file", "content", "anew"),
    [
        pytest.param("admin.key", b"", {"admin"}, id="a key that a power cut left empty"),
        pytest.param("admin.key", "scheduler.key", {"admin"}, id="a key of another certificate"),
        pytest.param("admin.crt", "scheduler.crt", {"admin"}, id="a certificate of another key"),
        pytest.param("ca.key", b"", {"ca", "admin", "scheduler"}, id="the authority's key"),
    ],
)
def test_a_damaged_pair_is_issued_anew(cluster, file, content, anew):
    before = {name: read(cluster, name).serial_number for name in ("ca", "admin", "scheduler")}
    (cluster.pki / file).write_bytes(content if isinstance(content, bytes) else (cluster.pki / content).read_bytes())
    pki.issue(cluster)
    assert {name for name, serial in before.items() if read(cluster, name).serial_number != serial} == anew
    for identity in pki.identities(cluster):
        read(cluster, identity.file).verify_directly_issued_by(read(cluster, identity.authority))


def test_what_begins_only_later_is_issued_anew(cluster, monkeypatch):
    """The clock was ahead when it was issued."""
    (cluster.pki / "admin.crt").unlink()
    monkeypatch.setattr(pki, "EARLIER", -timedelta(days=1))
    pki.issue(cluster)
    assert read(cluster, "admin").not_valid_before_utc > datetime.now(UTC)
    monkeypatch.undo()
    monkeypatch.setattr(layout, "CLUSTERS", cluster.state.parent)
    pki.issue(cluster)
    assert read(cluster, "admin").not_valid_before_utc < datetime.now(UTC)


def test_an_authority_that_was_made_anew_signs_all_also_when_that_was_interrupted(cluster, monkeypatch):
    (cluster.pki / "ca.crt").unlink()
    monkeypatch.setattr(pki, "identities", lambda cluster: [])
    pki.issue(cluster)
    monkeypatch.undo()
    monkeypatch.setattr(layout, "CLUSTERS", cluster.state.parent)
    pki.issue(cluster)
    read(cluster, "admin").verify_directly_issued_by(read(cluster, "ca"))


@pytest.mark.parametrize("file", ["service-accounts.key", "service-accounts.pub"])
def test_an_empty_key_of_service_accounts_is_made_anew(cluster, file):
    before = (cluster.pki / "service-accounts.pub").read_bytes()
    (cluster.pki / file).write_bytes(b"")
    pki.issue(cluster)
    key, public = ((cluster.pki / f"service-accounts.{end}").read_bytes() for end in ("key", "pub"))
    assert ours.public(ours.load_key(key)) == public
    assert (public == before) is (file == "service-accounts.pub"), "a good key stays: tokens are signed with it"
