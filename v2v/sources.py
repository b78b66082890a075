"""Where a DataVolume's disk comes from, and the words for each way."""

from dataclasses import dataclass

from hostler.api.cdi import DataVolume
from hostler.runtime.errors import Terminal
from v2v.job import Kind


@dataclass(frozen=True)
class Words:
    """Phases and events as CDI names them, and what the worker pod's name begins with."""

    pod: str
    scheduled: str
    under_way: str
    event: str  # ImportScheduled, ...: reasons of events begin with it


WORDS: dict[Kind, Words] = {
    "import": Words("importer", "ImportScheduled", "ImportInProgress", "Import"),
    "blank": Words("importer", "ImportScheduled", "ImportInProgress", "Import"),
    "clone": Words("cloner", "CloneScheduled", "CloneInProgress", "Clone"),
    "upload": Words("uploader", "UploadScheduled", "UploadReady", "Upload"),
}


def source_kind(volume: DataVolume) -> Kind:
    """What is to be done; Terminal for a source that is not carried out (the API server refuses those, too)."""
    source = volume.spec.source
    kinds: dict[Kind, object] = (
        {"import": source.http or source.vddk, "blank": source.blank, "clone": source.pvc, "upload": source.upload}
        if source
        else {}
    )
    found = next((kind for kind, given in kinds.items() if given is not None), None)
    if found is None:
        name = next(iter(source.model_dump(by_alias=True, exclude_none=True)), "") if source else ""
        raise Terminal("SourceNotSupported", f"spec.source.{name}: not supported by hostler".replace(".:", ":"))
    return found
