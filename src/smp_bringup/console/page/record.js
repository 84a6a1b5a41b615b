// The page Record: the recorder's own state and verdicts, its requests by keys and buttons, and what is on the disk.

import { get, listed, load, marks, verdict } from "./shelves.js";
import { make } from "./story.js";

const $ = (id) => document.getElementById(id);
const BUTTONS = [
  ["s", "record start", "start, or stop as a success"],
  ["f", "record failure", "stop as a failure"],
  ["d", "record discard", "discard the open episode, or the last one"],
  ["n", "record next", "next task"],
];
const SIM = [["sim layout", "New layout"], ["arm", "arm"], ["teleop", "teleop"], ["sim operate", "Let the operator work"]];
const SHOWN = 4; // pictures of each camera

let recorder = null;
let seen = ""; // the episode that is shown as the last one
let request = () => {};

export function beginRecord(onRequest) {
  request = onRequest;
  $("record-keys").replaceChildren(...BUTTONS.map(([key, name, text]) => {
    const button = make("button", "");
    button.type = "button";
    button.dataset.verb = name;
    button.append(make("kbd", key), make("span", text));
    button.setAttribute("aria-keyshortcuts", key);
    button.addEventListener("click", () => press(key, button));
    return button;
  }));
  for (const [name, text] of SIM) {
    const button = make("button", text);
    button.type = "button";
    button.dataset.verb = name;
    button.addEventListener("click", () => request(name, button));
    $("sim-buttons").append(button);
  }
  $("queue-form").addEventListener("submit", (event) => {
    event.preventDefault();
    request(`record queue\n${$("queue-text").value}`, event.submitter);
    $("queue-text").blur(); // space stops again
  });
}

export function pressRecord(key) {
  const index = BUTTONS.findIndex(([each]) => each === key);
  if (index >= 0) press(key, $("record-keys").children[index]);
  return index >= 0;
}

function press(key, button) {
  const starts = !recorder || recorder.recording !== "True";
  request(key === "s" ? (starts ? "record start" : "record success") : BUTTONS.find(([each]) => each === key)[1], button);
}

export function drawRecord(state) {
  recorder = state.recorder;
  const on = state.recording.on;
  $("record-now").textContent = state.recording.short;
  $("record-now").dataset.on = String(on);
  // Its reasons stand below, with the episode.
  $("record-said").textContent = recorder ? recorder.said.replace(/(: (?:keep|warn|reject)(?:; truncated: \w+)?): .*/, "$1") : "";
  $("record-mode").textContent = state.alive ? state.words : state.gone;
  const [start] = $("record-keys").children;
  if (start) start.lastChild.textContent = on ? "stop as a success" : "start";
  $("sim").hidden = !state.sim;
  $("sim-now").textContent = state.sim;
  const tasks = recorder ? recorder.queue.split(", ").filter(Boolean) : [];
  const text = tasks.join("\n");
  if ($("queue").dataset.text !== text) {
    $("queue").dataset.text = text;
    $("queue").replaceChildren(...tasks.map((task) => make("li", task)));
  }
  for (const row of $("queue").children) row.setAttribute("aria-current", String(Boolean(recorder) && row.textContent.startsWith(`${recorder.task} `)));
}

// Draws what is on the disk, and the last episode with its verdict.
export async function drawDisk() {
  const list = await load("data");
  if (!list) return;
  const room = list.entries.length ? list.entries.reduce((sum, entry) => sum + entry.mib, 0) / list.entries.length : 0;
  const fits = room && list.free_gib !== null ? `, room for some ${Math.floor(1024 * list.free_gib / room)} more episodes` : "";
  $("room").textContent = list.free_gib === null ? "" : `${list.free_gib} GiB free${fits}.`;
  drawCounts(list);
  drawLast();
}

function drawCounts(list) {
  const counts = new Map();
  for (const { task, quality, outcome } of list.entries) {
    const row = counts.get(task) || { kept: 0, warn: 0, rejected: 0, failed: 0 };
    row.rejected += quality === "reject";
    row.failed += quality !== "reject" && outcome === "failure";
    row.warn += quality === "warn" && outcome !== "failure";
    row.kept += quality !== "reject" && outcome !== "failure";
    counts.set(task, row);
  }
  const lines = [...counts].sort().map(([task, n]) =>
    `${task}: ${n.kept} kept (${n.warn} with a warning), ${n.failed} failures, ${n.rejected} rejected`);
  $("counts").replaceChildren(...(lines.length ? lines : [`No episode in ${list.folder}.`]).map((line) => make("p", line)));
}

async function drawLast() {
  const path = recorder && recorder.last, entry = path && listed(path);
  const key = entry ? `${entry.id} ${entry.outcome} ${entry.use}` : path || "";
  if (key === seen) return;
  seen = key;
  if (!entry) {
    const words = path ? `${path} is not below the folder that this console shows: start it with --data.` : "None yet.";
    $("last").replaceChildren(make("p", words, "soft"));
    return;
  }
  const head = make("div", "", "episode"), words = make("div"), reasons = make("ul"), films = make("div", "", "films");
  words.append(make("b", entry.name), make("span", ` ${entry.task}, ${entry.duration_s} s`, "soft"));
  head.append(verdict(entry), words, marks(entry));
  reasons.append(...entry.reasons.map((reason) => make("li", reason)));
  $("last").replaceChildren(head, reasons, films);
  const story = await get(`/data/${entry.id}`).catch(() => null);
  if (!story || seen !== key) return;
  for (const { name, at_s } of story.cameras) {
    for (let i = 0; i < Math.min(SHOWN, at_s.length); i += 1) {
      const k = Math.round(i * (at_s.length - 1) / Math.max(1, Math.min(SHOWN, at_s.length) - 1));
      const figure = make("figure"), image = make("img");
      image.src = `/data/${entry.id}/${name}/${k}`;
      image.alt = `camera ${name} at ${at_s[k].toFixed(1)} seconds`;
      figure.append(image, make("figcaption", `${name}, ${at_s[k].toFixed(1)} s`));
      films.append(figure);
    }
  }
}
