// Lists of episodes and stops, and what each of them shows. Whatever a bag says goes in as text, never as HTML.

import { drawStory, make } from "./story.js";

const $ = (id) => document.getElementById(id);
const ROWS = 200;
const FILTERS = [["task", "Task"], ["quality", "Verdict"], ["date", "Date"], ["outcome", "Label"], ["use", "Use"]];
const OUTCOMES = { success: "success", failure: "failure", unlabelled: "no label" };
const USES = { training: "training", held_out: "held out" };

const chosen = Object.fromEntries(FILTERS.map(([key]) => [key, ""]));
const drawn = { data: "", stops: "" };
let episodes = [];
let stopOpen = "";
let told = 0; // counts the stories that were asked for: only the last one is drawn

export async function get(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.text || `the console answered ${answer.status}`);
  return body;
}

export async function mark(entry, what, value) {
  await get(`/mark/${entry.id}`, { method: "POST", body: JSON.stringify({ [what]: value }) });
}

// Draws a list anew where it has changed; returns it.
export async function load(which) {
  const said = $(which === "data" ? "data-said" : "why-said");
  try {
    const list = await get(`/${which}`);
    const text = JSON.stringify(list.entries);
    if (which === "data") episodes = list.entries;
    if (text !== drawn[which]) (which === "data" ? drawEpisodes : drawStops)(list);
    drawn[which] = text;
    return list;
  } catch (error) {
    said.textContent = `This list could not be read: ${error.message}.`;
    return null;
  }
}

export async function show(which, entry, root) {
  told += 1;
  const mine = told;
  root.replaceChildren(make("p", "Reading the bag.", "soft"));
  try {
    const story = await get(`/${which}/${entry.id}`);
    if (mine === told) drawStory(root, story, (camera, k) => `/${which}/${entry.id}/${camera}/${k}`);
  } catch (error) {
    if (mine === told) root.replaceChildren(make("p", error.message, "refused"));
  }
}

function drawEpisodes(list) {
  const where = $("filters");
  where.replaceChildren(...FILTERS.map(([key, name]) => {
    const label = make("label", `${name} `), values = [...new Set(list.entries.map((entry) => entry[key]))].sort();
    if (!values.includes(chosen[key])) chosen[key] = "";
    const select = choice({ "": "all", ...Object.fromEntries(values.map((value) => [value, named(key, value)])) }, chosen[key]);
    select.dataset.filter = key;
    select.addEventListener("change", () => {
      chosen[key] = select.value;
      drawRows(list);
    });
    label.append(select);
    return label;
  }));
  drawRows(list);
}

function named(key, value) {
  return (key === "outcome" ? OUTCOMES[value] : key === "use" ? USES[value] : "") || value || "not known";
}

function drawRows(list) {
  const rows = list.entries.filter((entry) => FILTERS.every(([key]) => !chosen[key] || entry[key] === chosen[key]));
  const more = rows.length > ROWS ? `, the newest ${ROWS} shown` : "";
  const none = list.entries.length ? "" : " Record some: smp up --record FOLDER, and the page Record.";
  $("data-said").textContent = `${rows.length} of ${list.entries.length} episodes in ${list.folder}${more}.${none}`;
  $("episodes").replaceChildren(...rows.slice(0, ROWS).map((entry) => row(entry)));
}

function row(entry) {
  const line = make("div", "", "episode"), play = make("button", "Play");
  line.dataset.episode = entry.name;
  play.type = "button";
  play.setAttribute("aria-label", `play ${entry.name}`);
  play.addEventListener("click", () => {
    $("player").hidden = false;
    $("player-title").textContent = entry.name;
    show("data", entry, $("played"));
    $("player").scrollIntoView({ block: "start" });
  });
  const words = make("div");
  words.append(make("b", entry.name), make("span", ` ${entry.task}, ${entry.duration_s} s, ${entry.date}`, "soft"));
  line.append(play, verdict(entry), words, marks(entry));
  if (entry.wrong) line.append(make("p", entry.wrong, "refused wide"));
  return line;
}

export function verdict(entry) {
  const part = make("span", entry.stopped ? "stop" : entry.quality, `verdict ${entry.quality}`);
  part.title = entry.reasons.join("; ");
  return part;
}

// Label and use of an episode, each set at once; every browser sees it.
export function marks(entry) {
  const part = make("div", "", "marks");
  for (const [what, words, name] of [["outcome", OUTCOMES, "label"], ["use", USES, "use"]]) {
    const select = choice(words, entry[what]);
    select.setAttribute("aria-label", `${name} of ${entry.name}`);
    select.dataset.mark = what;
    select.addEventListener("change", async () => {
      try {
        await mark(entry, what, select.value);
      } catch (error) {
        select.value = entry[what];
        $("data-said").textContent = `${entry.name}: ${error.message}.`;
      }
    });
    part.append(select);
  }
  return part;
}

function choice(words, value) {
  const select = make("select");
  for (const [each, text] of Object.entries(words)) {
    const option = make("option", text);
    option.value = each;
    option.selected = each === value;
    select.append(option);
  }
  return select;
}

function drawStops(list) {
  $("why-said").textContent = list.entries.length
    ? `${list.entries.length === 1 ? "1 stop" : `${list.entries.length} stops`} in ${list.folder}, the newest first.`
    : `No stop in ${list.folder}.`;
  $("stops").replaceChildren(...list.entries.map((entry) => {
    const button = make("button", [...new Set([entry.when, entry.stopped, entry.check])].join(" "));
    button.type = "button";
    button.dataset.stop = entry.name;
    button.addEventListener("click", () => open(list, entry));
    return button;
  }));
  const [newest] = list.entries;
  if (newest && newest.id !== stopOpen) open(list, newest);
}

function open(list, entry) {
  stopOpen = entry.id;
  $("stopped").hidden = false;
  for (const button of $("stops").children) button.setAttribute("aria-pressed", String(button.dataset.stop === entry.name));
  show("stops", entry, $("stopped"));
}

export function listed(path) {
  return episodes.find((entry) => entry.path === path);
}
