"""What apt's source files say, and which of it is Debian's own archive: other vendors' look much like it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

RELEASES = (
    *("buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"),
    *("oldoldstable", "oldstable", "stable", "testing", "unstable"),
)
SECURITY = ("-security", "/updates")  # how the suites of security updates end, now and up to buster
OLD = ("archive.debian.org", "snapshot.debian.org")  # of another time: they may lack what we want
KEYRING = "debian-archive"  # in the name of the file, where an entry says whose signatures it wants
LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^]]*)]\s*)?(?P<url>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)")


@dataclass(frozen=True)
class Entry:
    """One place and one suite that packages come from."""

    url: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def debian(self) -> bool:
        """Whether it can be Debian's, by all but its address: others name their suites like Debian's releases, too."""
        trusted = not self.signed_by or KEYRING in self.signed_by
        return "main" in self.components and trusted and self.release in RELEASES

    @property
    def release(self) -> str:
        return re.sub(r"(-security|/updates|-updates|-backports|-proposed-updates)$", "", self.suite)

    @property
    def security(self) -> bool:
        return self.suite.endswith(SECURITY)


def mirror(entries: Iterable[Entry], *, security: bool) -> str | None:
    """The web mirror of Debian, or of its security updates.

    Only Debian's archive has suites of updates, so an address that has one is surely meant; else it must be
    `/debian` right below its host, as on all official mirrors.
    """
    ours = [entry for entry in entries if entry.debian and _web(entry.url) and entry.security is security]
    if security:
        return next((entry.url for entry in ours), None)
    sure = (entry.url for entry in ours if entry.suite == f"{entry.release}-updates")
    likely = (entry.url for entry in ours if urlsplit(entry.url).path == "/debian")
    return next(sure, None) or next(likely, None)


def _web(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.hostname not in OLD


def entries(text: str) -> Iterator[Entry]:
    """All that are enabled, of either style."""
    for line in text.splitlines():
        if found := LINE.match(line):
            options = dict(word.partition("=")[::2] for word in (found["options"] or "").lower().split())
            components = tuple(found["components"].split())
            yield Entry(found["url"].rstrip("/"), found["suite"], components, options.get("signed-by", ""))
    for stanza in re.split(r"\n[ \t]*\n", text):
        yield from _of_stanza(_fields(stanza))


def _of_stanza(fields: dict[str, str]) -> Iterator[Entry]:
    if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off", "without", "disable"):
        return
    if "deb" not in fields.get("types", "").split():
        return
    components = tuple(fields.get("components", "").split())
    for url in fields.get("uris", "").split():
        for suite in fields.get("suites", "").split():
            yield Entry(url.rstrip("/"), suite, components, fields.get("signed-by", ""))


def _fields(stanza: str) -> dict[str, str]:
    """Name in small letters -> value, of all its lines."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        begin, _, value = line.partition(":")
        if line[:1].isspace():
            value = line
        else:
            name = begin.strip().lower()
        fields[name] = f"{fields.get(name, '')} {value.strip()}".strip()
    return fields
