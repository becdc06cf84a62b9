// A subword in the page: its text, and a link to it.

import { h } from "./elements.js";
import { vocabulary } from "./study.js";

/** A subword in its own writing direction; with its language, if only one is known. */
export function word(id) {
  const senses = vocabulary.sensesOf(id);
  return h("bdi", { lang: senses.length === 1 ? senses[0].code : null }, vocabulary.shown(id));
}

/** A link that shows a subword. */
export function link(id, attributes = {}, ...children) {
  const href = `#${encodeURIComponent(vocabulary.locator(id))}`;
  return h("a", { href, ...attributes }, ...children);
}

/** The codes of up to four languages, and the number of further ones. */
export function codes(senses) {
  const more = senses.length > 4 ? ` +${senses.length - 4}` : "";
  const first = senses.slice(0, 4).map((sense) => sense.code);
  return first.join(" ") + more;
}
