// What the page holds: the vocabulary and the groupings of one backbone.

import { Grouping } from "./grouping.js";
import { unpack } from "./sections.js";
import { Tokenizer } from "./tokenizer.js";
import { Vocabulary } from "./vocabulary.js";

export const header = JSON.parse(document.getElementById("the-header").textContent);
export const groupings = [];
export let vocabulary;

/** Unpack a section, and remove it from the document. */
function section(name) {
  const element = document.getElementById(`data-${name}`);
  const text = element.textContent;
  element.remove();
  return unpack(text, header.types[name]);
}

async function loadVocabulary() {
  const [pieces, spellings, order, scores, merges, charsmap, senses] = await Promise.all(
    ["pieces", "spellings", "order", "scores", "merges", "charsmap", "senses"].map(section),
  );
  const tokenizer = new Tokenizer(header.segmenter, {
    pieces,
    spellings,
    scores,
    merges,
    charsmap,
  });
  vocabulary = new Vocabulary(tokenizer, { order, senses, languages: header.languages });
}

async function loadGroupings() {
  const scale = { largestCompared: header.largest_compared, cosineScale: header.cosine_scale };
  for (const [number, described] of header.groupings.entries()) {
    const parts = await Promise.all(
      ["groups", "to-mean", "pairs"].map((part) => section(`${part}-${number}`)),
    );
    groupings.push(new Grouping(described, ...parts, scale));
  }
}

/** Unpack everything. */
export async function load() {
  await loadVocabulary();
  await loadGroupings();
}
