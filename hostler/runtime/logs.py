"""One line for each decision carried out: a message, and fields given as `extra`."""

import json
import logging
import sys
import time
from typing import Literal

Format = Literal["text", "json"]
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_QUIET = ("kopf", "aiohttp.access", "asyncio", "kubernetes")


class Formatter(logging.Formatter):
    """key=value for people, or one JSON object a line for machines."""

    converter = staticmethod(time.gmtime)

    def __init__(self, style: Format) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S")
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}Z"
        fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        text = record.getMessage()
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if self._json:
            line = {"time": stamp, "level": record.levelname.lower(), "logger": record.name, "message": text} | fields
            return json.dumps(line, default=str)
        trace = fields.pop("traceback", None)
        pairs = "".join(f" {key}={_word(value)}" for key, value in fields.items())
        return f"{stamp} {record.levelname[0]} {record.name}: {text}{pairs}" + (f"\n{trace}" if trace else "")


def _word(value: object) -> str:
    text = str(value)
    return text if text and not set(text) & set(" =\"\n'") else json.dumps(text)


def setup(level: str = "INFO", style: Format = "text") -> None:
    """Log to standard error; libraries only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(style))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
