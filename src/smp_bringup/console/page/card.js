// A model card: the headings, paragraphs, tables and `code` of its Markdown. Whatever a card says goes in as text.

import { make } from "./story.js";

export function drawCard(text) {
  const root = make("div", "", "card-text");
  for (const block of text.split(/\n\s*\n/)) {
    const lines = block.split("\n").filter((line) => line.trim());
    if (lines.length) root.append(...drawBlock(lines));
  }
  return root;
}

function drawBlock(lines) {
  const [first, ...rest] = lines;
  const heading = /^#+ (.*)/.exec(first);
  if (heading) return [make("h3", heading[1]), ...(rest.length ? drawBlock(rest) : [])];
  return [first.startsWith("|") ? table(lines) : said("p", lines.join(" "))];
}

function table(lines) {
  const element = make("table");
  lines.forEach((line, at) => {
    const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
    if (cells.every((cell) => /^[-: ]*$/.test(cell))) return; // the rule under a header, or an empty header
    const row = make("tr");
    row.append(...cells.map((cell) => said(at ? "td" : "th", cell)));
    element.append(row);
  });
  return element;
}

// What stands between backticks is code.
function said(tag, text) {
  const element = make(tag);
  element.append(...text.split("`").map((part, at) => (at % 2 ? make("code", part) : part)));
  return element;
}
