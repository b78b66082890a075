"""The methods of the vSphere API that are answered: one function each, found by its name."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from pyVmomi import VmomiSupport, vim, vmodl

from v2v.simulator import objects
from v2v.simulator.soap import Call, Fault
from v2v.simulator.world import World

PAGE = 100  # objects in one answer, at most, as a real vCenter pages what is asked for

Collector = VmomiSupport.GetVmodlType("vmodl.query.PropertyCollector")


def call(world: World, request: Call, cookie: str | None) -> tuple[Any, str | None]:
    """The result of a method, and the cookie of the session that it began, if so; raises Fault."""
    if request.method == "RetrieveServiceContent":
        return objects.content(), None
    if request.method == "Fetch" and request.kind == "ServiceInstance":
        return objects.content(), None
    if request.method == "Login":
        return login(world, request)
    if cookie not in world.sessions:
        raise Fault(vim.fault.NotAuthenticated(msg="The session is not authenticated."))
    method = METHODS.get(request.method)
    if method is None:
        raise Fault(vmodl.fault.NotSupported(msg=f"{request.method} is not simulated"))
    if request.method == "Logout":
        del world.sessions[str(cookie)]
        return None, None
    return method(world, request), None


def login(world: World, request: Call) -> tuple[Any, str]:
    user = request.text("userName") or ""
    cookie = world.login(user, request.text("password") or "")
    if cookie is None:
        text = "Cannot complete login due to an incorrect user name or password."
        raise Fault(vim.fault.InvalidLogin(msg=text))
    now = datetime.now(UTC)
    session = vim.UserSession(
        key=world.sessions[cookie],
        userName=user,
        fullName=user,
        locale="en",
        messageLocale="en",
        loginTime=now,
        lastActiveTime=now,
        extensionSession=False,
        ipAddress="127.0.0.1",
        userAgent="",
        callCount=0,
    )
    return session, cookie


def create_view(world: World, request: Call) -> Any:
    view = world.new_id("view")
    world.views[view] = request.text("type") or ""
    return vim.view.ContainerView(view)


def destroy_view(world: World, request: Call) -> None:
    world.views.pop(request.target, None)


def retrieve(world: World, request: Call) -> Any:
    """RetrievePropertiesEx: what the specification selects, a page of it."""
    found = []
    for spec in request.arguments.findall("specSet"):
        wanted = {part.findtext("type") or "": part for part in spec.findall("propSet")}
        for reference in selected(world, spec.findall("objectSet")):
            part = wanted.get(reference._wsdlName)
            if part is not None:
                found.append(told(world, reference, [path.text or "" for path in part.findall("pathSet")]))
    limit = int(request.text("options/maxObjects") or PAGE)
    return page(world, found, min(limit, PAGE))


def selected(world: World, object_sets: Iterable[Any]) -> Iterable[Any]:
    for each in object_sets:
        node = each.find("obj")
        kind, identity = node.get("type"), node.text or ""
        if kind == "ContainerView":
            if identity not in world.views:
                raise Fault(vmodl.fault.ManagedObjectNotFound(msg=f"{identity} is not there", obj=None))
            yield from objects.members(world, world.views[identity])
        else:
            yield VmomiSupport.GetWsdlType("urn:vim25", kind)(identity)


def told(world: World, reference: Any, paths: list[str]) -> Any:
    """The properties of one object that were asked for; what is unset is left out, as vCenter does."""
    known = objects.properties(world, reference._wsdlName, reference._moId)
    if known is None:
        text = f"The object '{reference._moId}' has already been deleted or has not been completely created"
        raise Fault(vmodl.fault.ManagedObjectNotFound(msg=text, obj=reference))
    for path in paths:
        if path not in known:
            raise Fault(vmodl.query.InvalidProperty(msg=f"no property {path}", name=path))
    values = {path: known[path]() for path in paths or known}
    content = [vmodl.DynamicProperty(name=path, val=value) for path, value in values.items() if value is not None]
    return Collector.ObjectContent(obj=reference, propSet=content)


def fetch(world: World, request: Call) -> Any:
    """One property of one object: what pyVmomi asks for when an attribute is read."""
    path = request.text("prop") or ""
    reference = VmomiSupport.GetWsdlType("urn:vim25", request.kind)(request.target)
    content = told(world, reference, [path]).propSet
    return content[0].val if content else None


def page(world: World, found: list[Any], size: int) -> Any:
    head, rest = found[:size], found[size:]
    token = None
    if rest:
        token = world.new_id("token")
        world.pages[token] = rest
    return Collector.RetrieveResult(token=token, objects=head)


def proceed(world: World, request: Call) -> Any:
    rest = world.pages.pop(request.text("token") or "", None)
    if rest is None:
        raise Fault(vmodl.fault.InvalidArgument(msg="no such token", invalidProperty="token"))
    return page(world, rest, PAGE)


def machine_id(world: World, request: Call) -> str:
    if world.machine(request.target) is None:
        text = f"The object 'vim.VirtualMachine:{request.target}' has already been deleted"
        raise Fault(vmodl.fault.ManagedObjectNotFound(msg=text, obj=vim.VirtualMachine(request.target)))
    return request.target


def must_run(world: World, machine: str) -> None:
    state = world.power_state(machine)
    if state != "poweredOn":
        text = "The attempted operation cannot be performed in the current state (Powered off)."
        fault = vim.fault.InvalidPowerState(msg=text, requestedState="poweredOff", existingState=state)
        raise Fault(fault)


def power_off(world: World, request: Call) -> Any:
    machine = machine_id(world, request)
    must_run(world, machine)
    world.power[machine] = "poweredOff"
    world.going_down.pop(machine, None)
    return vim.Task(world.new_task("VirtualMachine.powerOff", machine).id)


def power_on(world: World, request: Call) -> Any:
    machine = machine_id(world, request)
    world.power[machine] = "poweredOn"
    return vim.Task(world.new_task("VirtualMachine.powerOn", machine).id)


def shut_down_guest(world: World, request: Call) -> None:
    machine = machine_id(world, request)
    must_run(world, machine)
    known = world.machine(machine)
    if known is None or not known.tools:
        text = "Cannot complete operation because VMware Tools is not running in this virtual machine."
        raise Fault(vim.fault.ToolsUnavailable(msg=text))
    world.shut_down(machine)


METHODS: dict[str, Callable[[World, Call], Any]] = {
    "Logout": lambda _world, _request: None,
    "CreateContainerView": create_view,
    "DestroyView": destroy_view,
    "RetrievePropertiesEx": retrieve,
    "ContinueRetrievePropertiesEx": proceed,
    "Fetch": fetch,
    "PowerOffVM_Task": power_off,
    "PowerOnVM_Task": power_on,
    "ShutdownGuest": shut_down_guest,
}
