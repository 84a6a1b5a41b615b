// The page Models: checkpoints with their cards, and two of them over the same episode.

import { drawCard } from "./card.js";
import { get, load } from "./shelves.js";
import { make } from "./story.js";

const $ = (id) => document.getElementById(id);
let models = [];

export async function drawModels() {
  const [list, episodes] = await Promise.all([get("/models").catch(() => null), load("data")]);
  if (!list) return;
  const changed = JSON.stringify(list.entries) !== JSON.stringify(models);
  models = list.entries;
  if (changed) {
    $("models-said").textContent = `${models.length} checkpoints: those in ${list.folder}, and the shipped ones.`;
    $("models").replaceChildren(...models.map((entry) => {
      const button = make("button", entry.name);
      button.type = "button";
      button.dataset.model = entry.name;
      button.addEventListener("click", () => open(entry));
      return button;
    }));
    fill($("first"), models);
    fill($("second"), models);
    if (models.length > 1) $("second").selectedIndex = 1;
  }
  if (episodes) fill($("over"), episodes.entries);
}

function fill(select, entries) {
  const before = select.value;
  select.replaceChildren(...entries.map((entry) => {
    const option = make("option", entry.name);
    option.value = entry.id;
    return option;
  }));
  if (entries.some((entry) => entry.id === before)) select.value = before;
}

async function open(entry) {
  for (const button of $("models").children) button.setAttribute("aria-pressed", String(button.dataset.model === entry.name));
  const root = $("model");
  root.hidden = false;
  root.replaceChildren(make("p", "Reading it, and trying it out.", "soft"));
  try {
    const { card, metrics, misfit, command } = await get(`/models/${entry.id}`);
    const next = make("p", "To run it, end the graph and start it with: ");
    next.append(make("code", command));
    const held = Object.entries(metrics).filter(([name]) => name.startsWith("held_out/"));
    const losses = held.map(([name, value]) => `${name.slice(9)} ${value.toPrecision(3)}`).join(", ");
    root.replaceChildren(
      make("h2", entry.name),
      make("p", misfit ? `It does not fit this robot: ${misfit}` : "It fits this robot.", misfit ? "refused" : "done"),
      make("p", losses ? `Held-out losses: ${losses}.` : "It says no held-out losses."), next, drawCard(card),
    );
  } catch (error) {
    root.replaceChildren(make("p", error.message, "refused"));
  }
}

export function beginModels() {
  $("compare").addEventListener("submit", async (event) => {
    event.preventDefault();
    const asked = { episode: $("over").value, first: $("first").value, second: $("second").value };
    try {
      await get("/compare", { method: "POST", body: JSON.stringify(asked) });
      $("compare-said").textContent = "";
    } catch (error) {
      $("compare-said").textContent = error.message;
    }
  });
}

// Draws what is compared now, or was last: every browser sees it.
export function drawTrial(trial) {
  const text = JSON.stringify(trial);
  if ($("trial").dataset.drawn === text) return;
  $("trial").dataset.drawn = text;
  const parts = [make("p", `${trial.running ? "Comparing " : ""}${trial.words}`)];
  if (trial.running) {
    const bar = make("progress");
    Object.assign(bar, { max: 2, value: trial.lines });
    bar.setAttribute("aria-label", `${trial.lines} of 2 replays done`);
    parts.push(bar, make("p", `${trial.lines} of 2 replays done`, "soft"));
  }
  if (trial.rows.length) parts.push(table(trial));
  $("trial").replaceChildren(...parts);
}

function table(trial) {
  const element = make("table"), head = make("tr");
  head.append(...["figure", trial.names[0], trial.names[1], "change"].map((text) => make("th", text)));
  element.append(head, ...trial.rows.map((row) => {
    const line = make("tr");
    line.append(make("td", row.name), ...[row.first, row.second, row.change].map((value) => make("td", value.toPrecision(4))));
    return line;
  }));
  return element;
}
