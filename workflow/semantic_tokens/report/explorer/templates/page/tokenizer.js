// The backbone's tokenizer: it cuts a text into subwords as the `tokenizers` library does.

import { AddedTokens } from "./added_tokens.js";
import { fromByteLevel } from "./bytes.js";
import { Charsmap } from "./charsmap.js";
import { MODELS } from "./models.js";
import { normalized } from "./normalizers.js";
import { split } from "./pre_tokenizers.js";

/** Text -> id; the first id if several subwords have the same text. */
export function idsBy(spellings, ids = new Map()) {
  spellings.forEach((spelling, id) => {
    if (spelling && !ids.has(spelling)) ids.set(spelling, id);
  });
  return ids;
}

export class Tokenizer {
  /**
   * @param settings the settings of `tokenizer.json`, as Python writes them.
   * @param {string[]} pieces the subwords as a reader spells them, by id.
   * @param {string[]} spellings the subwords as the tokenizer spells them; empty if that is the same.
   * @param scores the scores of a Unigram model.
   * @param merges [3 × M] the merges of BPE: left ids, right ids, ranks.
   * @param {Uint8Array} charsmap SentencePiece's map of characters; empty if there is none.
   */
  constructor(settings, { pieces, spellings, scores, merges, charsmap }) {
    this.settings = settings;
    this.pieces = pieces;
    this.isByteLevel = spellings.length > 0;
    this.spellings = this.isByteLevel ? spellings : pieces;
    this.ids = idsBy(this.spellings);
    this.scores = scores;
    this.merges = merges;
    this.charsmap = charsmap.length ? new Charsmap(charsmap) : null;
    this.longest = pieces.reduce((most, piece) => Math.max(most, piece.length), 0);
    this.unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - 10;
    const { added } = settings;
    this.added = new AddedTokens(
      added.filter((token) => !token.normalized),
      ({ id }) => pieces[id],
    );
    this.addedNormalized = new AddedTokens(
      added.filter((token) => token.normalized),
      ({ id }) => this.normalized(pieces[id]),
    );
  }

  normalized(text) {
    return normalized(text, this.settings.normalizer, this.charsmap);
  }

  /** The subwords of a text: the `id` of each, and its `text` as the tokenizer sees it. */
  segment(text) {
    return this.added.parts(text).flatMap((part) => {
      if (part.id !== undefined) return [part];
      return this.addedNormalized.parts(this.normalized(part.text)).flatMap((piece) => {
        if (piece.id !== undefined) return [piece];
        return this.#cut(piece.text, part.isFirst && piece.isFirst);
      });
    });
  }

  /** The subwords of a text without added tokens; `isFirst` if the input starts with it. */
  #cut(text, isFirst) {
    const { type, pre_tokenizer, unknown } = this.settings;
    return split(isFirst ? [text] : ["", text], pre_tokenizer)
      .filter((word) => word)
      .flatMap((word) => MODELS[type](word, this))
      .filter(({ id }) => id !== null) // unknown, and the tokenizer has no token for that
      .map((token) =>
        this.isByteLevel && token.id === unknown
          ? { id: unknown, text: fromByteLevel(token.text) }
          : token,
      );
  }
}
