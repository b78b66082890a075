"""An authority and its leaves over the years: what is good is kept, what ends is renewed before, trust never breaks."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from hostler.runtime.certificates import AUTHORITY_LIFE, AUTHORITY_RENEW, SPREAD, Holding, Leaf, authority, leaf

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGENT = Leaf("agent", ("hostler-agent.hostler.svc",))
LATE = NOON + AUTHORITY_LIFE - AUTHORITY_RENEW + timedelta(days=1)


def test_what_is_good_is_kept() -> None:
    ca = authority(None, NOON)
    held = leaf(None, AGENT, ca, NOON)
    assert authority(ca, NOON + timedelta(days=59)) is ca
    assert leaf(held, AGENT, ca, NOON + timedelta(days=59)) is held


def test_a_leaf_says_who_it_is() -> None:
    ca = authority(None, NOON)
    certificate = x509.load_pem_x509_certificate(leaf(None, AGENT, ca, NOON).certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.certificate))
    assert certificate.subject.rfc4514_string() == "CN=hostler-agent"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hostler-agent", "hostler-agent.hostler.svc"]


@pytest.mark.parametrize(
    ("of", "later"),
    [
        pytest.param(AGENT, timedelta(days=61), id="it ends soon"),
        pytest.param(Leaf("gateway"), timedelta(), id="it is another's"),
        pytest.param(Leaf("agent", ("elsewhere",)), timedelta(), id="its names changed"),
    ],
)
def test_a_leaf_is_renewed(of: Leaf, later: timedelta) -> None:
    ca = authority(None, NOON)
    held = leaf(None, AGENT, ca, NOON)
    assert leaf(held, of, ca, NOON + later).certificate != held.certificate


def test_a_new_authority_signs_when_all_have_heard_of_it() -> None:
    old = authority(None, NOON)
    held = leaf(None, AGENT, old, LATE)
    new = authority(old, LATE)
    assert new.certificate != old.certificate
    assert new.bundle == new.certificate + old.certificate

    told = leaf(held, AGENT, new, LATE)
    assert (told.certificate, told.bundle) == (held.certificate, new.bundle)
    signed = leaf(told, AGENT, new, LATE + SPREAD)
    assert signed.certificate != held.certificate

    ended = authority(new, NOON + AUTHORITY_LIFE + timedelta(days=1))
    assert ended.certificate == new.certificate
    assert ended.bundle == new.certificate


def test_another_authority_is_not_trusted() -> None:
    held = leaf(None, AGENT, authority(None, NOON), NOON)
    assert leaf(held, AGENT, authority(None, NOON), NOON).certificate != held.certificate


@pytest.mark.parametrize("data", [{}, {"tls.crt": "x", "tls.key": "x", "ca.crt": "x"}, {"tls.crt": "eA=="}])
def test_what_we_did_not_write_is_made_anew(data: dict[str, str]) -> None:
    assert Holding.read(data) is None


def test_a_secret_holds_it() -> None:
    ca = authority(None, NOON)
    assert Holding.read(ca.data) == ca
