"""Where on a vSphere's web server the bytes of a disk are."""

import re
from urllib.parse import quote, urlencode, urlsplit

from hostler.runtime.errors import Terminal

NAME = re.compile(r"\[(.+?)\] (.+)\.vmdk")


def flat_url(sdk: str, file: str, datacenter: str) -> str:
    """The address of the flat file behind "[datastore] folder/name.vmdk": HTTPS, with Range."""
    match = NAME.fullmatch(file)
    if match is None:
        raise Terminal("DiskNameInvalid", f"{file!r} is not of the form '[datastore] folder/name.vmdk'")
    parts = urlsplit(sdk)
    query = urlencode({"dcPath": datacenter, "dsName": match[1]})
    return f"https://{parts.netloc}/folder/{quote(match[2])}-flat.vmdk?{query}"
