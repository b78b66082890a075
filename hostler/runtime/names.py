"""Names of children: the same input always gives the same name, so a repeated create finds its own work."""

import hashlib

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' own: no vowels, so no words, and nothing that looks alike
LONGEST_NAME, LONGEST_LABEL = 253, 63


def suffix(text: str, length: int = 5) -> str:
    """Some characters that stand for a text: 14 million different ones when there are five."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def label(text: str) -> str:
    """A label value for a name: the name itself, or its beginning and a hash where it is too long."""
    if len(text) <= LONGEST_LABEL:
        return text
    return f"{text[: LONGEST_LABEL - 6].rstrip('-.')}-{suffix(text)}"


def common_name(process: str) -> str:
    """Who a process of ours is in its certificate, as client and as server: "agent" is "hostler-agent"."""
    return f"hostler-{process}"


def tls_secret(process: str) -> str:
    """The Secret with a process's certificate, in the namespace of the installation."""
    return f"hostler-{process}-tls"
