"""Another path to a node than its leases: does its address answer, and is it the kubelet that does?"""

import asyncio
import errno
import ssl
from ipaddress import ip_address

from fencing.verdict import Reach

KUBELET = 10250
SECONDS = 2.0
OURS = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE)  # tell of us, not of the node


async def reach(address: str | None, port: int = KUBELET, seconds: float = SECONDS) -> Reach:
    """A frozen machine still takes connections, and one without a kubelet refuses them: both are not off."""
    try:
        ip_address(address or "")
    except ValueError:  # the node's own word, and no address: a name that nobody knows is no silence
        return Reach.UNKNOWN
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return Reach.DEAF
    except TimeoutError:
        return Reach.SILENT
    except OSError as error:
        return Reach.UNKNOWN if error.errno in OURS else Reach.SILENT
    try:
        async with asyncio.timeout(seconds):
            await writer.start_tls(context())
    except (TimeoutError, OSError):  # ssl.SSLError is an OSError
        return Reach.DEAF
    finally:
        writer.transport.abort()
    return Reach.ANSWERS


def context() -> ssl.SSLContext:
    """Whoever answers there: identity does not matter, only that somebody is alive."""
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made
