// What the page shows before anything is typed.

import { h } from "./elements.js";
import { groupings, header, vocabulary } from "./study.js";
import { link } from "./subwords.js";

const SOME = 24; // special tokens

/** The keywords that are single subwords, and share a semantic token. */
function examples() {
  return header.keywords.filter((keyword) => {
    const tokens = vocabulary.lookUp(keyword);
    return tokens.length === 1 && groupings[0].neighbours(tokens[0].id).size > 1;
  });
}

export function welcome() {
  const { special } = header.segmenter;
  const words = examples().map((keyword) =>
    h("li", {}, h("a", { href: `#${encodeURIComponent(keyword)}` }, keyword)),
  );
  const tokens = special
    .slice(0, SOME)
    .map((id) => h("li", {}, link(id, {}, h("code", {}, vocabulary.shown(id)))));
  return h(
    "section",
    { class: "welcome" },
    h(
      "p",
      {},
      "A semantic token is a group of subwords, of whatever languages, that share one embedding. ",
      "Type a word to see how it is cut, and which subwords share a token with each part.",
    ),
    words.length ? h("h2", {}, "Begin with") : "",
    h("ul", { class: "examples" }, words),
    h("h2", {}, "Special tokens"),
    h(
      "p",
      { class: "note" },
      "They are kept out of the grouping; each is a semantic token by itself.",
    ),
    h("ul", { class: "examples" }, tokens),
    special.length > SOME ? h("p", { class: "note" }, `and ${special.length - SOME} more.`) : "",
  );
}
