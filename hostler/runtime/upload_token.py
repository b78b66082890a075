"""Tokens that allow one upload into one DataVolume: signed by the gateway, verified by the gateway and by the worker.

RSA-PSS as in CDI, so that the worker, which runs beside tenants, has only the half that verifies.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ISSUER, AUDIENCE = "hostler", "upload"
ALGORITHM = "PS256"
LIFE = timedelta(minutes=5)
LEEWAY = timedelta(seconds=10)
LONGEST = 8192  # characters


class TokenInvalid(Exception):
    """Forged, expired, or for another volume."""


@dataclass(frozen=True)
class Grant:
    """What a token allows."""

    namespace: str
    name: str
    uid: str  # of the DataVolume


def sign(grant: Grant, private_key: str, now: datetime | None = None) -> str:
    """A token that is good for five minutes: an upload that has begun by then may go on."""
    now = now or datetime.now(UTC)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + LIFE}
    subject = {"namespace": grant.namespace, "name": grant.name, "uid": grant.uid}
    return jwt.encode(claims | subject, private_key, algorithm=ALGORITHM)


def verify(authorization: str, certificate: str) -> Grant:
    """What the Authorization header of a request allows."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST:
        raise TokenInvalid("Authorization: Bearer TOKEN is missing")
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    if not isinstance(key, RSAPublicKey):
        raise TokenInvalid("tokens are signed with RSA, and the certificate is not of such a key")
    try:
        claims = jwt.decode(token.strip(), key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, leeway=LEEWAY)
        return Grant(str(claims["namespace"]), str(claims["name"]), str(claims["uid"]))
    except (jwt.PyJWTError, KeyError) as error:
        raise TokenInvalid(f"the token is not valid: {error}") from error
