// Small tokenizers that tests share.

import { Tokenizer } from "../../../workflow/semantic_tokens/report/explorer/templates/page/tokenizer.js";

const SETTINGS = {
  unknown: 0,
  prefix: "",
  suffix: "",
  byte_fallback: false,
  word_prefix: "",
  uncut: "",
  added: [],
  special: [0],
  ungrouped: [0],
  normalizer: null,
  pre_tokenizer: null,
};

/** A tokenizer; `settings` and `tables` are laid over those of an empty one. */
export function tokenizerOf(pieces, settings, tables = {}) {
  const empty = {
    spellings: [],
    scores: new Float32Array(),
    merges: new Uint16Array(),
    charsmap: new Uint8Array(),
  };
  return new Tokenizer({ ...SETTINGS, ...settings }, { ...empty, pieces, ...tables });
}

/** XLM-R's kind of tokenizer, with seven subwords and a mask. */
export function unigram(settings = {}) {
  const pieces = ["<unk>", "▁", "▁tom", "ato", "▁to", "mato", "a", "<mask>"];
  const scores = Float32Array.from([0, -3, -4, -5, -2, -4, -6, 0]);
  return tokenizerOf(
    pieces,
    {
      type: "Unigram",
      word_prefix: "▁",
      added: [{ id: 7, lstrip: true }],
      special: [0, 7],
      ungrouped: [0, 7],
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
      ...settings,
    },
    { scores },
  );
}
