"""What workers count, by the names that CDI's have: dashboards and alerts find them."""

from prometheus_client import Gauge, start_http_server

from v2v.job import Kind

PORT = 8081

IMPORT = Gauge("kubevirt_cdi_import_progress_total", "The import progress in percentage", ["ownerUID"])
CLONE = Gauge("kubevirt_cdi_clone_progress_total", "The clone progress in percentage", ["ownerUID"])
UPLOAD = Gauge("kubevirt_cdi_upload_progress_total", "The upload progress in percentage", ["ownerUID"])
BY_KIND: dict[Kind, Gauge] = {"import": IMPORT, "blank": IMPORT, "clone": CLONE, "upload": UPLOAD}


def serve(port: int) -> None:
    """Beside the work; a port that is taken is no reason not to work."""
    try:
        start_http_server(port)
    except OSError:
        return


def progress(kind: Kind, uid: str, percent: float) -> None:
    BY_KIND[kind].labels(uid).set(percent)
