"""SOAP in and out: requests are read as XML, answers are written by pyVmomi's own serializer."""

from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring
from pyVmomi import SoapAdapter, VmomiSupport

VERSION = "vim.version.version9"
LARGEST_REQUEST = 1 << 20
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body>"
)
TAIL = "</soapenv:Body></soapenv:Envelope>"


class Fault(Exception):
    """A vSphere fault to answer with."""

    def __init__(self, fault: Any) -> None:
        super().__init__(type(fault).__name__)
        self.fault = fault


@dataclass(frozen=True)
class Call:
    """One method call: which object, which method, with what."""

    method: str
    kind: str
    target: str
    arguments: Element

    def text(self, path: str) -> str | None:
        """The text of an argument, at a path such as `options/maxObjects`."""
        node = self.arguments.find(path)
        return node.text if node is not None else None

    def texts(self, path: str) -> list[str]:
        return [node.text or "" for node in self.arguments.findall(path)]


def read(body: bytes) -> Call:
    """The call that a request holds; ValueError if it holds none."""
    root = fromstring(body)
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    holder = root.find("Body")
    method = holder[0] if holder is not None and len(holder) else None
    this = method.find("_this") if method is not None else None
    if method is None or this is None:
        raise ValueError("no method call in the request")
    return Call(method.tag, this.get("type", ""), this.text or "", method)


def answer(method: str, value: object) -> str:
    """The envelope for a result; None for a method that returns nothing."""
    info = VmomiSupport.Object(name="returnval", type=object, version=VERSION, flags=0)
    inner = "" if value is None else SoapAdapter.SerializeToStr(value, info, VERSION, {})
    return f'{HEAD}<{method}Response xmlns="urn:vim25">{inner}</{method}Response>{TAIL}'


def refusal(fault: Any) -> str:
    """The envelope for a fault."""
    name = type(fault).__name__.rpartition(".")[2]
    info = VmomiSupport.Object(name=f"{name}Fault", type=object, version=VERSION, flags=0)
    detail = SoapAdapter.SerializeFaultDetail(fault, info, VERSION, {})
    text = SoapAdapter.XmlEscape(fault.msg or name)
    return (
        f"{HEAD}<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{text}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>{TAIL}"
    )
