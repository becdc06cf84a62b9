// Show what is typed: its subwords, and the semantic token of the selected one.

import { comparison } from "./comparison.js";
import { h, plural } from "./elements.js";
import { membersPanel } from "./members.js";
import { groupings, header, vocabulary } from "./study.js";
import { tokenTabs } from "./tokens.js";
import { BOUNDARY } from "./vocabulary.js";
import { welcome } from "./welcome.js";

export const main = document.getElementById("the-main");
export const status = document.getElementById("the-status");

let chosen = 0; // the number of the grouping whose members are shown
let current = { tokens: [], selected: 0 };

/** Show an input; the document is complete when this returns.
 *
 * @param selected the position of the selected subword; the longest known one if it is null. */
export function render(typed, selected = null) {
  const text = typed.trim();
  const tokens = text ? vocabulary.lookUp(typed) : [];
  const first = tokens.length ? vocabulary.longestKnown(tokens) : 0;
  current = { tokens, selected: selected ?? first };
  document.title = text ? `${text} · Semantic tokens` : "Semantic tokens";
  if (!text) {
    status.textContent = "";
    main.replaceChildren(welcome());
  } else if (!tokens.length) {
    status.textContent = header.segmenter.uncut
      ? "This is no whole subword."
      : "Nothing of this is left after the tokenizer’s normalisation.";
    main.replaceChildren();
  } else show(chosen);
  main.dataset.shows = typed;
}

/** One line about the input. */
function summary(tokens, { id, text }) {
  const parts = tokens.filter((token) => vocabulary.pieces[token.id] !== BOUNDARY).length;
  const unknown = tokens.filter((token) => vocabulary.isUnknown(token)).map((token) => token.text);
  let line = `${plural(parts, "subword")}.`;
  if (!vocabulary.isUnknown({ id, text })) {
    const { size } = groupings[chosen].neighbours(id);
    const shares = size === 1 ? "is by itself" : `shares a semantic token with ${size - 1} more`;
    line += ` ${vocabulary.shown(id)} ${shares} (${groupings[chosen].name}).`;
  }
  if (unknown.length) line += ` Not in the vocabulary: ${unknown.join(", ")}.`;
  return line;
}

/** The panel of a text that no subword covers. */
function unknownPanel({ id, text }) {
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, h("bdi", {}, text)),
    h(
      "p",
      { class: "notice" },
      "No subword of the backbone covers this: it reads ",
      h("code", {}, vocabulary.pieces[id]),
      ", the unknown token, which is a semantic token by itself.",
    ),
  );
}

/** Show the selected subword, with its members under one grouping. */
function show(number) {
  chosen = number;
  const { tokens, selected } = current;
  const token = tokens[selected];
  status.textContent = summary(tokens, token);
  const panels = vocabulary.isUnknown(token)
    ? [unknownPanel(token)]
    : [membersPanel(token.id, chosen, show), comparison(token.id, chosen, show)];
  const attributes = {
    class: "panels",
    role: "tabpanel",
    "aria-label": vocabulary.shown(token.id),
  };
  main.replaceChildren(tokenTabs(tokens, selected, select), h("div", attributes, panels));
}

function select(place) {
  current.selected = place;
  history.replaceState({ selected: place }, "");
  show(chosen);
}
