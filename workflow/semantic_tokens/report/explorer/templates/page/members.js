// The members of a subword's semantic token, by script and language.

import { decimals, grouped, h, plural } from "./elements.js";
import { groupings, vocabulary } from "./study.js";
import { codes, link, word } from "./subwords.js";

const FEW = 18; // members of a language before "show more"
const SEVERAL = "Several languages";
const UNKNOWN = "Language not known";
const LAST_SCRIPTS = ["Digits", "Symbols", "Bytes"];

function member({ id, cosine }) {
  const senses = vocabulary.sensesOf(id);
  const gloss = vocabulary.glossOf(id);
  const title = senses.length > 1 ? senses.map((sense) => sense.name).join(", ") : null;
  return h(
    "li",
    {},
    link(
      id,
      { class: "member", title },
      word(id),
      gloss ? h("span", { class: "gloss" }, gloss) : null,
      senses.length > 1 ? h("span", { class: "codes" }, codes(senses)) : null,
      h("span", { class: "cosine", style: `--c:${Math.max(0, cosine)}` }, decimals(cosine)),
    ),
  );
}

function languageOf(id) {
  const senses = vocabulary.sensesOf(id);
  return senses.length === 0 ? UNKNOWN : senses.length === 1 ? senses[0].name : SEVERAL;
}

/** The members of one language, the first few until the reader asks for more. */
function languageBlock([language, items], _, { length }) {
  const attributes = { class: "members", "aria-label": language };
  const block = h("ul", attributes, items.slice(0, FEW).map(member));
  const rest = items.slice(FEW);
  const more = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        block.append(...rest.map(member));
        more.remove();
        block.children[FEW].firstChild.focus();
      },
    },
    `Show ${rest.length} more`,
  );
  const isOnly = length === 1 && language === UNKNOWN;
  return h(
    "div",
    { class: isOnly ? "language only" : "language" },
    isOnly ? "" : h("h4", {}, language),
    h("div", {}, block, rest.length ? more : ""),
  );
}

function scriptBlock([script, items]) {
  return h(
    "section",
    { class: "script" },
    h("h3", {}, script, " ", h("span", { class: "count" }, String(items.length))),
    grouped(items, (item) => languageOf(item.id), [SEVERAL, UNKNOWN]).map(languageBlock),
  );
}

/** The meanings, the script and the id of a subword. */
function factsOf(id) {
  const isSpecial = vocabulary.special.has(id);
  const facts = [isSpecial ? "special token" : vocabulary.scriptOf(id), `id ${id}`];
  const glossOf = ({ gloss }) => (vocabulary.isItself(id, gloss) ? "" : gloss);
  const meanings = grouped(vocabulary.sensesOf(id), glossOf, [""]).map(([gloss, senses]) => {
    const names = senses.slice(0, 4).map(({ name }) => name);
    return names.join(", ") + (senses.length > 4 ? " …" : "") + (gloss && `: ${gloss}`);
  });
  if (meanings.length) {
    facts.unshift(meanings.slice(0, 4).join("; ") + (meanings.length > 4 ? " …" : ""));
  }
  return facts;
}

/** The choice of the grouping whose members are shown. */
function groupingPicker(chosen, show) {
  const optionOf = (grouping, number) =>
    h(
      "option",
      { value: number, selected: number === chosen ? "" : null },
      `${grouping.alignment}, ${grouping.grouping}`,
    );
  const picker = h(
    "select",
    {
      id: "the-grouping",
      onchange: () => {
        show(Number(picker.value));
        document.getElementById("the-grouping").focus();
      },
    },
    [...new Set(groupings.map((grouping) => grouping.alignment))].map((alignment) =>
      h(
        "optgroup",
        { label: alignment },
        groupings.map((grouping, number) =>
          grouping.alignment === alignment ? optionOf(grouping, number) : "",
        ),
      ),
    ),
  );
  return picker;
}

/** What the numbers beside the members are. */
function noteOf(id, { size, isCompared, toMean }) {
  if (size === 1) {
    return vocabulary.special.has(id)
      ? "A special token: kept out of the grouping, by itself."
      : "It is by itself here.";
  }
  if (isCompared)
    return "Numbers are cosines to this subword, by the embeddings that were grouped.";
  return (
    "Numbers are cosines to the group’s mean: the group is too large to compare each with each. " +
    `This subword’s is ${decimals(toMean)}.`
  );
}

/**
 * The panel of one subword: its facts, its semantic token, and the members of that.
 *
 * @param chosen the number of the grouping.
 * @param show is called with the number of the grouping that the reader chooses.
 */
export function membersPanel(id, chosen, show) {
  const grouping = groupings[chosen];
  const answer = grouping.neighbours(id);
  const { group, size, others } = answer;
  const scripts = grouped(others, (item) => vocabulary.scriptOf(item.id), LAST_SCRIPTS);
  const kinds = new Set([...scripts.map(([script]) => script), vocabulary.scriptOf(id)]);
  const count = `${plural(size, "subword")} in ${plural(kinds.size, "script")}`;
  const spelling = h("bdi", {}, vocabulary.spellings[id]);
  return h(
    "section",
    { class: "panel", "aria-labelledby": "the-subword" },
    h(
      "div",
      { class: "subword" },
      h("h2", { id: "the-subword" }, word(id)),
      h("code", { title: "as the vocabulary spells it" }, spelling),
      h("p", {}, factsOf(id).join(" · ")),
    ),
    h(
      "div",
      { class: "token" },
      h("label", { for: "the-grouping" }, "Semantic token under "),
      groupingPicker(chosen, show),
      h(
        "p",
        {},
        h("b", {}, `No. ${group.toLocaleString("en")}`),
        ` of ${grouping.groups.toLocaleString("en")}: ${size === 1 ? "one subword" : count}. ` +
          noteOf(id, answer),
      ),
    ),
    scripts.map(scriptBlock),
  );
}
