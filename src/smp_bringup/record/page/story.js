// Draws an episode: why it stopped, its pictures and its joints under one slider, and what the command node said.
// Everything that comes from a bag goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 300, HIGH = 60, EDGE = 4;

export function make(tag, text = "", kind = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function draw(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

// `picture(camera, k)` gives the address of the k-th picture of a camera.
export function drawStory(root, story, picture) {
  const length = Math.max(story.duration_s, 0.001), movers = [];
  const parts = story.stop ? [why(story)] : [reasons(story.reasons)];
  const slider = make("input"), now = make("output", "", "now");
  Object.assign(slider, { type: "range", min: 0, max: length, step: 0.05 });
  slider.setAttribute("aria-label", `time in the episode, of ${length.toFixed(1)} seconds`);
  const go = (at_s) => {
    slider.value = at_s;
    now.textContent = `${at_s.toFixed(2)} s of ${length.toFixed(1)} s`;
    for (const move of movers) move(at_s);
  };
  slider.addEventListener("input", () => go(Number(slider.value)));
  const bar = make("div", "", "bar");
  bar.append(slider, now);
  parts.push(bar, films(story, picture, movers), joints(story, length, movers), events(story, go, movers));
  root.replaceChildren(...parts);
  go(story.stop ? Math.min(length, Math.max(0, story.stop.at_s)) : 0);
}

function why(story) {
  const part = make("div", "", "why"), { stop } = story;
  const who = stop.followed === "nobody" ? "The arms followed nobody" : `The arms followed ${stop.followed}`;
  part.append(make("h2", `${stop.head}: ${stop.found}`));
  if (stop.reason) part.append(make("p", stop.reason, "reason"));
  part.append(reasons(stop.reasons.filter((reason) => !stop.reason || !reason.includes(stop.reason))));
  part.append(make("p", stop.look));
  part.append(make("p", `${who}. ${stop.when.replace("T", " ")}${stop.check ? `, check ${stop.check}` : ""}.`, "soft"));
  if (story.command) {
    const command = make("p", "Look again with: ");
    command.append(make("code", story.command));
    part.append(command);
  }
  return part;
}

function reasons(all) {
  const list = make("ul", "", "reasons");
  list.hidden = !all.length;
  list.append(...all.map((reason) => make("li", reason)));
  return list;
}

function films(story, picture, movers) {
  const part = make("div", "", "films");
  for (const { name, at_s } of story.cameras) {
    const figure = make("figure"), image = make("img"), caption = make("figcaption", name);
    figure.dataset.camera = name;
    figure.append(image, caption);
    part.append(figure);
    if (!at_s.length) {
      image.remove();
      caption.textContent = `${name}: no picture in this bag`;
      continue;
    }
    let shown = -1;
    movers.push((now) => {
      const k = Math.max(0, last(at_s, now));
      caption.textContent = `${name}, ${at_s[k].toFixed(2)} s`;
      image.alt = `camera ${name} at ${at_s[k].toFixed(1)} seconds`;
      if (k !== shown) image.src = picture(name, k);
      shown = k;
    });
  }
  return part;
}

function joints(story, length, movers) {
  const part = make("div", "", "plots"), { at_s, measured, commanded } = story.joints;
  let j = 0;
  for (const arm of story.arms) {
    part.append(make("h3", arm.name));
    for (const joint of arm.joints) {
      part.append(plot(joint, arm.name, at_s, measured[j], commanded[j], length, story.stop, movers));
      j += 1;
    }
  }
  const legend = make("p", "", "legend");
  legend.append(make("span", "", "key measured"), "measured ", make("span", "", "key commanded"), "commanded");
  const all = make("div");
  all.append(legend, part);
  return all;
}

function plot(joint, arm, at_s, measured, commanded, length, stop, movers) {
  const row = make("div", "", "plot"), label = make("span", short(joint.name, arm)), value = make("span", "", "values");
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, row);
  const known = [...measured, ...commanded].filter((v) => v !== null);
  const least = Math.min(...known), most = Math.max(...known);
  const room = Math.max(most - least, 0.02 * (joint.max - joint.min)) || 1, middle = (most + least) / 2;
  const x = (s) => WIDE * s / length;
  const y = (v) => HIGH / 2 - (HIGH - 2 * EDGE) * (v - middle) / room;
  for (const limit of [joint.min, joint.max]) {
    if (Math.abs(limit - middle) <= room / 2 + 1e-6) draw("line", { x1: 0, x2: WIDE, y1: y(limit), y2: y(limit), class: "limit" }, svg);
  }
  if (stop) draw("line", { x1: x(stop.at_s), x2: x(stop.at_s), y1: 0, y2: HIGH, class: "stopped" }, svg);
  for (const [values, kind] of [[commanded, "commanded"], [measured, "measured"]]) {
    draw("path", { d: path(at_s, values, x, y), class: kind }, svg);
  }
  const cursor = draw("line", { y1: 0, y2: HIGH, class: "cursor" }, svg);
  movers.push((now) => {
    const k = Math.max(0, last(at_s, now));
    cursor.setAttribute("x1", x(now));
    cursor.setAttribute("x2", x(now));
    value.textContent = `${shown(measured[k])} / ${shown(commanded[k])} ${joint.unit}`;
  });
  row.title = `${joint.name}: limits ${joint.min} to ${joint.max} ${joint.unit}`;
  row.prepend(label, value);
  return row;
}

function path(at_s, values, x, y) {
  let out = "", pen = "M";
  values.forEach((value, k) => {
    if (value === null) {
      pen = "M";
      return;
    }
    out += `${pen}${x(at_s[k]).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  return out;
}

function events(story, go, movers) {
  const part = make("div"), list = make("ol", "", "events");
  part.append(make("h3", "What the command node said"));
  list.append(...story.events.map((event) => {
    const row = make("li"), button = make("button", `${event.at_s.toFixed(2)} s`);
    button.type = "button";
    button.setAttribute("aria-label", `go to ${event.at_s.toFixed(2)} seconds`);
    button.addEventListener("click", () => go(event.at_s));
    row.append(button, ` ${[event.mode, event.severity, event.text].filter(Boolean).join(" · ")}`);
    return row;
  }));
  let current = null;
  movers.push((now) => {
    const row = story.events.length ? list.children[Math.max(0, last(story.events.map((event) => event.at_s), now))] : null;
    if (row === current) return;
    if (current) current.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    list.scrollTop = row.offsetTop - list.offsetTop - list.clientHeight / 2;
    current = row;
  });
  part.append(story.events.length ? list : make("p", "It is not in this bag.", "soft"));
  return part;
}

function last(at_s, now) {
  let k = at_s.length - 1;
  while (k > 0 && at_s[k] > now) k -= 1;
  return k;
}

function short(name, arm) {
  return name.startsWith(`${arm}_`) ? name.slice(arm.length + 1) : name;
}

function shown(value) {
  return value === null || value === undefined ? "-" : value.toFixed(3);
}
