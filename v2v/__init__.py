"""Workshop: machines and disks come from elsewhere: from VMware, from the web, from another volume."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`celery -A v2v` looks for the app here; who only wants a step need not load Celery."""
    if name == "app":
        from v2v.tasks import app

        return app
    raise AttributeError(name)
