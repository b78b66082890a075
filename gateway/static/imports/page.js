// The import page: connect, list, pick, start, watch. Everything that a source says is put in as text, never as HTML.
"use strict";

const GROUP = "apis/hostler.io/v1alpha1";
const EVERY = 2000; // milliseconds between two looks
const state = { token: "", namespace: "", sources: [], plans: [], source: "", picked: new Set(), timer: 0 };
const $ = (selector) => document.querySelector(selector);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function ask(method, path, body) {
  const answer = await fetch("api/" + path, {
    method, headers: { Authorization: "Bearer " + state.token },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.message || `the server answers ${answer.status}`);
  return said;
}

const own = (kind, name = "") => `${GROUP}/namespaces/${state.namespace}/${kind}${name && "/" + name}`;

function problem(error) {
  $("#problem").hidden = !error;
  $("#problem").textContent = error ? error.message : "";
}

async function tried(work) {
  try { problem(); return await work(); } catch (error) { problem(error); }
}

async function look() {
  const [sources, plans] = await Promise.all([ask("GET", own("importsources")), ask("GET", own("importplans"))]);
  state.sources = sources.items;
  state.plans = plans.items.sort((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp));
  if (!state.sources.some((each) => each.metadata.name === state.source)) {
    state.source = state.sources.length ? state.sources[0].metadata.name : "";
  }
  draw();
}

async function watch() {
  clearTimeout(state.timer);
  try { await look(); } catch (error) { problem(error); }
  state.timer = setTimeout(watch, EVERY);
}

function draw() {
  $("#sources").replaceChildren(...state.sources.map(sourceItem));
  if (!state.sources.length) $("#connecting").open = true;
  drawMachines();
  $("#plans").replaceChildren(...state.plans.map(planBox));
}

function condition(object, type) {
  return (object.status?.conditions || []).find((each) => each.type === type);
}

function sourceItem(source) {
  const name = source.metadata.name, ready = condition(source, "Ready");
  const choice = make("input", { type: "radio", name: "source", checked: name === state.source, value: name });
  choice.onchange = () => { state.source = name; state.picked.clear(); draw(); };
  const again = make("button", { type: "button", className: "small", textContent: "Look again" });
  again.onclick = () => tried(() => refresh(name));
  const word = !ready ? ["busy", "connecting ..."] : ready.status === "True"
    ? ["good", ready.message || "connected"] : ["bad", `${ready.reason}: ${ready.message || ""}`];
  const item = make("li", {}, make("label", { className: "check" }, choice, make("b", { textContent: name })), " ",
    make("span", { className: word[0], textContent: word[1] }), " ", again);
  item.querySelector("label").style.display = "inline-flex";
  return item;
}

function refresh(name) {
  return ask("PATCH", own("importsources", name),
    { metadata: { annotations: { "import.hostler.io/refresh": new Date().toISOString() } } });
}

function machines() {
  const source = state.sources.find((each) => each.metadata.name === state.source);
  return source?.status?.machines || [];
}

function drawMachines() {
  const wanted = $("#filter").value.toLowerCase(), all = machines();
  const shown = all.filter((each) => each.name.toLowerCase().includes(wanted));
  $("#machines tbody").replaceChildren(...shown.map(machineRow));
  $("#count").textContent = `${shown.length} of ${all.length} machines, ${state.picked.size} picked`;
  $("#import button").disabled = !state.picked.size;
}

function machineRow(machine) {
  const against = [...(machine.concerns || []), ...(machine.disks || []).map((each) => each.concern).filter(Boolean)];
  const box = make("input", { type: "checkbox", checked: state.picked.has(machine.id), disabled: against.length > 0 });
  box.setAttribute("aria-label", machine.name);
  box.onchange = () => {
    if (box.checked) state.picked.add(machine.id); else state.picked.delete(machine.id);
    drawMachines();
  };
  const bytes = (machine.disks || []).reduce((sum, each) => sum + each.bytes, 0);
  const name = make("td", {}, machine.name, " ", make("span", { className: "quiet", textContent: machine.id }));
  if (against.length) name.append(make("div", { className: "bad", textContent: against.join("; ") }));
  const cells = [power(machine.power), machine.cpus, size(machine.memoryMiB * 2 ** 20),
    `${(machine.disks || []).length} (${size(bytes)})`, (machine.nics || []).map((each) => each.network).join(", "),
    machine.firmware];
  return make("tr", { className: against.length ? "off" : "" }, make("td", {}, box), name,
    ...cells.map((text) => make("td", { textContent: text })));
}

const power = (text) => ({ poweredOn: "on", poweredOff: "off" })[text] || text || "";

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return `${bytes < 10 && unit ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function planBox(plan) {
  const status = plan.status || {}, valid = condition(plan, "Valid");
  const kind = { Succeeded: "good", Failed: "bad" }[status.phase] || "busy";
  const head = make("h3", {}, plan.metadata.name, " ",
    make("span", { className: kind, textContent: status.phase || "Pending" }));
  if (valid && valid.status !== "True") head.append(make("div", { className: "bad", textContent: valid.message }));
  const rows = (status.vms || []).flatMap(importRows);
  return make("div", { className: "plan" }, head, make("table", {}, make("tbody", {}, ...rows)));
}

function importRows(machine) {
  const kind = { Succeeded: "good", Failed: "bad" }[machine.phase] || "busy";
  const told = machine.message || machine.conversion || "";
  const first = make("tr", {}, make("td", { textContent: machine.name }),
    make("td", { textContent: machine.targetName || "" }),
    make("td", { className: kind, textContent: machine.phase }),
    make("td", { className: machine.phase === "Failed" ? "bad" : "quiet", textContent: told }));
  return [first, ...(machine.disks || []).map(diskRow)];
}

function diskRow(disk) {
  const bar = make("progress", { max: disk.total || 1, value: disk.bytes || 0 });
  return make("tr", {}, make("td"), make("td", { className: "quiet", textContent: disk.file }),
    make("td", {}, bar), make("td", { className: "quiet",
      textContent: `${disk.progress || ""} of ${size(disk.total)}, ${disk.phase}` }));
}

$("#login").onsubmit = (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  state.token = form.get("token").trim();
  state.namespace = form.get("namespace").trim();
  tried(async () => {
    await look();
    $("main").hidden = false;
    $("#who").textContent = "logged in";
    watch();
  });
};

$("#connect").onsubmit = (event) => {
  event.preventDefault();
  const form = Object.fromEntries(new FormData(event.target));
  tried(async () => {
    const secret = { metadata: { name: form.name }, stringData: { user: form.user, password: form.password } };
    await ask("POST", `api/v1/namespaces/${state.namespace}/secrets`, secret);
    const vsphere = { url: form.url, secretRef: { name: form.name } };
    if (form.thumbprint) vsphere.thumbprint = form.thumbprint.trim();
    await ask("POST", own("importsources"),
      { apiVersion: "hostler.io/v1alpha1", kind: "ImportSource", metadata: { name: form.name }, spec: { vsphere } });
    event.target.reset();
    $("#connecting").open = false;
    state.source = form.name;
    await look();
  });
};

$("#import").onsubmit = (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  tried(async () => {
    const spec = { source: { name: state.source }, vms: [...state.picked].map((id) => ({ id })),
      start: form.get("start") === "on" };
    await ask("POST", own("importplans"),
      { apiVersion: "hostler.io/v1alpha1", kind: "ImportPlan", metadata: { name: form.get("name") }, spec });
    state.picked.clear();
    event.target.elements.name.value = "";
    await look();
  });
};

$("#filter").oninput = drawMachines;
