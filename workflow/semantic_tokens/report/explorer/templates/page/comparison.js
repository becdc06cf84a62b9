// One subword under every grouping, side by side.

import { decimals, h, plural } from "./elements.js";
import { groupings } from "./study.js";
import { link, word } from "./subwords.js";

const TOP = 8; // members of each group

/** The difference between a group and the first one. */
function changeOf(fresh, gone) {
  if (!fresh.length && !gone.length) return ["the same subwords"];
  const parts = [];
  if (fresh.length) parts.push(h("span", { class: "new" }, `+${fresh.length}`), " ");
  if (gone.length) {
    const few = gone.slice(0, 4).flatMap((item, i) => [i ? " " : "", word(item.id)]);
    parts.push(h("span", { class: "gone" }, `−${gone.length}`), " ", h("s", {}, few));
    if (gone.length > 4) parts.push(" …");
  }
  return parts;
}

function neighbour({ id, cosine }, isNew) {
  return h(
    "li",
    {},
    link(
      id,
      { class: isNew ? "new" : null },
      word(id),
      isNew ? h("span", { class: "hidden" }, " (not in the first)") : null,
    ),
    h("span", { class: "cosine" }, decimals(cosine)),
  );
}

/** The group of a subword under one grouping, compared with its group under the first. */
function card(number, answers, chosen, show) {
  const grouping = groupings[number];
  const { size, others } = answers[number];
  const first = new Set(answers[0].others.map((item) => item.id));
  const here = new Set(others.map((item) => item.id));
  const gone = answers[0].others.filter((item) => !here.has(item.id));
  const fresh = others.filter((item) => !first.has(item.id));
  const isNew = (item) => number > 0 && !first.has(item.id);
  const change = number === 0 ? ["the others are compared with this"] : changeOf(fresh, gone);
  return h(
    "article",
    { class: number === chosen ? "card chosen" : "card" },
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(number === chosen),
        "aria-label": `${grouping.name}: show its members`,
        onclick: () => {
          show(number);
          document.querySelector(".card.chosen button").focus({ preventScroll: true });
        },
      },
      h("b", {}, grouping.grouping),
      h("span", {}, size === 1 ? "alone" : plural(size, "subword")),
    ),
    h("p", { class: "change" }, change),
    h(
      "ol",
      {},
      others.slice(0, TOP).map((item) => neighbour(item, isNew(item))),
    ),
    others.length > TOP ? h("p", { class: "rest" }, `and ${others.length - TOP} more`) : "",
  );
}

/**
 * The groups of one subword under all groupings, each compared with the first.
 *
 * @param chosen the number of the grouping whose members are shown.
 * @param show is called with the number of the grouping that the reader chooses.
 */
export function comparison(id, chosen, show) {
  const answers = groupings.map((grouping) => grouping.neighbours(id));
  const heading = h("h2", { id: "the-beside" }, "Side by side");
  const attributes = { class: "beside", "aria-labelledby": "the-beside" };
  if (answers.every(({ size }) => size === 1)) {
    const note = h("p", { class: "note" }, "It is by itself under every grouping.");
    return h("section", attributes, heading, note);
  }
  const alignments = [...new Set(groupings.map((grouping) => grouping.alignment))];
  return h(
    "section",
    attributes,
    heading,
    h(
      "p",
      { class: "note" },
      "The most alike of its group under every grouping; ",
      h("span", { class: "new" }, "marked"),
      " is what the first does not have, ",
      h("s", {}, "struck out"),
      " what it has and this has not.",
    ),
    alignments.map((alignment) =>
      h(
        "section",
        { class: "alignment" },
        h("h3", {}, alignment),
        h(
          "div",
          { class: "cards" },
          groupings.map((grouping, number) =>
            grouping.alignment === alignment ? card(number, answers, chosen, show) : "",
          ),
        ),
      ),
    ),
  );
}
