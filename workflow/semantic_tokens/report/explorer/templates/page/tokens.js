// The row of subwords that the input is cut into.

import { h } from "./elements.js";
import { header, vocabulary } from "./study.js";
import { BOUNDARY } from "./vocabulary.js";

function tab({ id, text }, isSelected, onclick) {
  const isUnknown = id === header.segmenter.unknown;
  return h(
    "button",
    {
      type: "button",
      role: "tab",
      "aria-selected": String(isSelected),
      tabindex: isSelected ? 0 : -1,
      class: isUnknown ? "unknown" : null,
      onclick,
    },
    vocabulary.pieces[id] === BOUNDARY
      ? h("span", { class: "boundary" }, "word begins")
      : h("bdi", {}, isUnknown ? text : vocabulary.shown(id)),
  );
}

/**
 * One tab per subword; arrow keys, Home and End select another.
 *
 * @param selected the position of the selected subword.
 * @param select is called with the position that the reader selects.
 */
export function tokenTabs(tokens, selected, select) {
  const tabs = tokens.map((token, place) => tab(token, place === selected, () => select(place)));
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const ends = { Home: 0, End: tabs.length - 1 };
    if (step === undefined && !(event.key in ends)) return;
    event.preventDefault();
    const isEnd = event.key in ends;
    select(isEnd ? ends[event.key] : (selected + step + tabs.length) % tabs.length);
    document.querySelector("[role=tab][aria-selected=true]").focus();
  };
  const attributes = { class: "cutting", role: "tablist", "aria-label": "Subwords" };
  return h("div", { ...attributes, onkeydown: move }, tabs);
}
