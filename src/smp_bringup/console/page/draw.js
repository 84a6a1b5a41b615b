// Draws what is so. Everything that comes from the graph goes in as text, never as HTML.

import { make } from "./story.js";

const $ = (id) => document.getElementById(id);
const NEAR = 0.03; // share of a joint's range from its limits that is marked
const SVG = "http://www.w3.org/2000/svg";

let robot = null;
const rows = [];
const screens = new Map();

export function drawRobot(told, onVerb) {
  robot = told;
  const where = told.namespace === "/" ? "" : ` in ${told.namespace}`;
  $("robot").textContent = `${told.name}${where}`;
  document.title = `${told.name}: smp console`;
  $("verbs").replaceChildren(...Object.entries(told.verbs).filter(([name]) => name !== "estop").map(([name, text]) => {
    const button = make("button", name);
    button.type = "button";
    button.title = text;
    button.dataset.verb = name;
    button.addEventListener("click", () => onVerb(name, button));
    return button;
  }));
  rows.length = 0;
  $("joints").replaceChildren(...told.arms.map((arm) => {
    const part = make("div");
    part.append(make("h3", arm.name), ...arm.joints.map((joint) => drawJoint(joint, arm.name)));
    return part;
  }));
  screens.clear();
  $("cameras").replaceChildren(...told.cameras.map((name) => {
    const figure = make("figure"), canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `picture of camera ${name}`);
    figure.append(canvas, make("figcaption", `${name}: no picture yet`));
    figure.dataset.camera = name;
    screens.set(name, { canvas, caption: figure.lastChild, times: [] });
    return figure;
  }));
}

function drawJoint(joint, arm) {
  const row = make("div", "", "joint"), track = make("div", "", "track"), values = make("span", "", "values");
  const measured = make("i", "", "measured"), commanded = make("i", "", "commanded");
  track.append(commanded, measured);
  const name = make("span", joint.name.startsWith(`${arm}_`) ? joint.name.slice(arm.length + 1) : joint.name);
  name.title = `${joint.name}: ${joint.min} to ${joint.max} ${joint.unit}`;
  row.append(name, track, values);
  row.dataset.joint = joint.name;
  rows.push({ joint, row, measured, commanded, values });
  return row;
}

function place(mark, joint, value) {
  mark.hidden = value === null;
  if (value !== null) mark.style.left = `${100 * Math.min(1, Math.max(0, share(joint, value)))}%`;
}

function share(joint, value) {
  return (value - joint.min) / (joint.max - joint.min);
}

export function drawState(state) {
  const body = document.body.dataset;
  body.gone = String(!state.alive);
  body.latched = String(["fault", "estop"].includes(state.mode));
  text($("words"), state.alive ? state.words : state.gone);
  list($("reasons"), [...state.reasons, ...state.notes]);
  for (const button of $("verbs").children) button.dataset.now = String(button.dataset.verb === state.mode);
  rows.forEach((row, k) => {
    const measured = state.measured[k], commanded = state.commanded[k];
    place(row.measured, row.joint, measured);
    place(row.commanded, row.joint, commanded);
    text(row.values, `${shown(measured)} / ${shown(commanded)} ${row.joint.unit}`);
    const at = measured === null ? 0.5 : share(row.joint, measured);
    row.row.dataset.near = String(at < NEAR || at > 1 - NEAR);
  });
  text($("recording"), state.recording.words);
  $("recording").dataset.on = String(state.recording.on);
  $("last-stop").hidden = !state.last_stop;
  text($("last-stop").lastElementChild, state.last_stop);
  drawGate(state.gate);
  list($("log"), state.log.map((entry) =>
    `${new Date(1000 * entry.at).toLocaleTimeString()}  ${entry.verb}: ${entry.text}`));
  [...$("log").children].forEach((row, k) => { row.className = state.log[k].done ? "done" : "refused"; });
}

function drawGate(gate) {
  text($("gate-words"), gate ? gate.words : "No policy speaks.");
  const bars = $("gate"), weights = gate ? gate.weights : [];
  while (bars.children.length > weights.length) bars.lastChild.remove();
  while (bars.children.length < weights.length) bars.append(make("div"));
  weights.forEach((weight, k) => {
    bars.children[k].style.height = `${100 * weight}%`;
    bars.children[k].dataset.active = String(gate.active.includes(k));
  });
}

export function drawFigures(series) {
  $("figures").replaceChildren(...series.map(({ name, unit, values }) => {
    const row = make("div", "", "figure"), last = values[values.length - 1];
    const most = Math.max(...values), least = Math.min(...values);
    row.append(make("span", name), sparkline(values, least, most), make("b", `${shown(last, 1)} ${unit}`));
    row.title = `${name}: ${shown(least, 1)} to ${shown(most, 1)} ${unit}`;
    return row;
  }));
}

function sparkline(values, least, most) {
  const svg = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  svg.setAttribute("viewBox", "0 0 119 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const high = (value) => most > least ? 18 - 16 * (value - least) / (most - least) : 10;
  const first = 120 - values.length;
  line.setAttribute("points", values.map((value, k) => `${first + k},${high(value).toFixed(1)}`).join(" "));
  svg.append(line);
  return svg;
}

export async function drawPicture(data) {
  const bytes = new Uint8Array(data), end = bytes.indexOf(10);
  const name = new TextDecoder().decode(bytes.subarray(0, end)), screen = screens.get(name);
  if (!screen) return;
  const bitmap = await createImageBitmap(new Blob([bytes.subarray(end + 1)], { type: "image/jpeg" }));
  Object.assign(screen.canvas, { width: bitmap.width, height: bitmap.height });
  screen.canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const now = performance.now();
  screen.times = [...screen.times.filter((time) => now - time < 2000), now];
  text(screen.caption, `${name}, ${Math.round(screen.times.length / 2)} a second`);
}

// What no picture came of for a while says so, rather than showing an old one as if it were now.
export function drawStale() {
  for (const [name, screen] of screens) {
    if (!screen.times.length || performance.now() - screen.times[screen.times.length - 1] > 1500) {
      text(screen.caption, `${name}: no picture now`);
    }
  }
}

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function list(element, lines) {
  while (element.children.length > lines.length) element.lastChild.remove();
  while (element.children.length < lines.length) element.append(make("li"));
  lines.forEach((line, k) => text(element.children[k], line));
}

function shown(value, digits = 3) {
  return value === null || value === undefined ? "-" : value.toFixed(digits);
}
