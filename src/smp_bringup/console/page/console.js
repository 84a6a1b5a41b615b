// Two connections: /live brings what is so and pictures, /ask carries requests. A picture on its way delays no stop.

import { beginRecord, drawDisk, drawRecord, pressRecord } from "./record.js";
import { beginModels, drawModels, drawTrial } from "./models.js";
import { load } from "./shelves.js";
import { drawFigures, drawPicture, drawRobot, drawStale, drawState } from "./draw.js";

const $ = (id) => document.getElementById(id);
const AGAIN_MS = 500;
const SILENT_MS = 2000;
const ANSWER_MS = 1500;
const STOP_KEPT_MS = 10000; // a stop that was pressed without a connection is sent if one comes so soon

let robot = null;
let view = "camera";
let heard = 0;
let ask = null;
let unsent = 0;
let unanswered = 0;
let pictures = Promise.resolve();
let page = "run";
const known = {}; // what lists are drawn from: they are read again when it changes

function open(path, onMessage, onOpen = () => {}) {
  const socket = new WebSocket(`ws://${location.host}${path}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => onOpen(socket);
  socket.onmessage = (event) => onMessage(event.data, socket);
  socket.onclose = () => setTimeout(() => open(path, onMessage, onOpen), AGAIN_MS);
  return socket;
}

function next(socket) {
  const cameras = robot && page === "run" && !document.hidden ? robot.cameras : [];
  socket.send([view, ...cameras].join(" "));
}

async function onLive(data, socket) {
  heard = performance.now();
  if (data instanceof ArrayBuffer) {
    pictures = pictures.then(() => drawPicture(data)).catch(() => {}); // one that is no picture is left out
    return;
  }
  const message = JSON.parse(data);
  if (message.robot) {
    robot = message.robot;
    drawRobot(robot, request);
  }
  if (message.state) drawAll(message.state);
  if (message.figures) drawFigures(message.figures);
  await pictures; // the next ones come once these are drawn
  if (socket.readyState === WebSocket.OPEN) next(socket);
}

function drawAll(state) {
  drawState(state);
  drawRecord(state);
  const now = { data: [state.marks, state.recorder && state.recorder.last].join(" "), stops: state.last_stop };
  if (now.data !== known.data && ["record", "data"].includes(page)) {
    known.data = now.data;
    drawDisk();
  }
  drawTrial(state.trial);
  if (now.data !== known.models && page === "models") {
    known.models = now.data;
    drawModels();
  }
  if (now.stops !== known.stops && page === "why") {
    known.stops = now.stops;
    load("stops");
  }
}

function turn() {
  const asked = location.hash.slice(1);
  page = document.getElementById(`page-${asked}`) ? asked : "run";
  delete known.data;
  delete known.stops;
  delete known.models;
  if ($("answer").className === "done") $("answer").textContent = ""; // a refusal stays to be read
  for (const each of document.querySelectorAll(".page")) each.hidden = each.id !== `page-${page}`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function onAnswer(data) {
  const { verb, done, text } = JSON.parse(data);
  if (verb === "estop") clearTimeout(unanswered);
  answer(verb, done, text);
  for (const button of document.querySelectorAll("[aria-busy]")) {
    if ([button.dataset.verb, button.dataset.asked].includes(verb)) button.removeAttribute("aria-busy");
  }
}

function answer(verb, done, text) {
  $("answer").textContent = `${verb}: ${text}`;
  $("answer").className = done ? "done" : "refused";
}

function send(name) {
  if (!ask || ask.readyState !== WebSocket.OPEN) return false;
  ask.send(name);
  return true;
}

function request(name, button) {
  const [verb] = name.split("\n");
  if (send(name)) {
    button.setAttribute("aria-busy", "true");
    button.dataset.asked = verb;
    answer(verb, true, "asked, waits for the answer");
  } else {
    answer(verb, false, "not sent: the console is not reached");
  }
}

function stop() {
  if (send("estop")) {
    answer("estop", true, "asked, waits for the answer");
    clearTimeout(unanswered);
    unanswered = setTimeout(() => answer("estop", false, "NO ANSWER YET: use the hardware emergency stop"), ANSWER_MS);
  } else {
    unsent = performance.now();
    answer("estop", false, "NOT SENT, the console is not reached: use the hardware emergency stop, or smp estop");
  }
}

// Space and Esc stop wherever the focus is: they are taken before any button gets them. Enter presses buttons.
// Only in the one field that takes words a space is a space; what the button says follows.
const typing = () => document.activeElement === $("queue-text");
for (const kind of ["focusin", "focusout"]) {
  window.addEventListener(kind, () => setTimeout(() => { $("stop-keys").textContent = typing() ? "Esc" : "Space or Esc"; }));
}
for (const kind of ["keydown", "keyup"]) {
  window.addEventListener(kind, (event) => {
    if (event.key !== "Escape" && (event.key !== " " || typing())) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (kind === "keydown" && !event.repeat) stop();
  }, { capture: true });
}
window.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
  const free = !["INPUT", "SELECT"].includes(event.target.tagName);
  if (page === "record" && plain && free && pressRecord(event.key)) event.preventDefault();
});
$("stop").addEventListener("pointerdown", stop); // a finger that slides off has pressed
$("stop").addEventListener("click", (event) => { if (event.detail === 0) stop(); }); // Enter, or an assistive device
for (const button of $("view").children) {
  button.addEventListener("click", () => {
    view = button.dataset.view;
    for (const each of $("view").children) each.setAttribute("aria-pressed", String(each === button));
  });
}

setInterval(() => {
  const lost = performance.now() - heard > SILENT_MS;
  document.body.dataset.lost = String(lost);
  $("link").textContent = lost
    ? "The console is not reached; the robot goes on as it was: stop it by its hardware button, or smp estop. "
      + "A console that was started again has another address."
    : document.body.dataset.gone === "true" ? "Live, but no graph is heard" : "Live";
  drawStale();
}, 250);

beginRecord(request);
beginModels();
window.addEventListener("hashchange", turn);
turn();
open("/live", onLive);
open("/ask", onAnswer, (socket) => {
  ask = socket;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  if (unsent && performance.now() - unsent < STOP_KEPT_MS) stop();
  unsent = 0;
});
