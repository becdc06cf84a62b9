// The backbone's vocabulary: looking subwords up, and writing them for readers.

import { BYTES, scriptOf, UNSPACED } from "./scripts.js";
import { lowerBound } from "./search.js";
import { idsBy } from "./tokenizer.js";

/** The mark of a word's start, and the subword that is only this mark. */
export const BOUNDARY = "▁";

export class Vocabulary {
  /**
   * @param {Tokenizer} tokenizer
   * @param order all ids, sorted by their text in lower case without the tokenizer's marks.
   * @param senses columns `token` (ascending), `language` and `gloss`: the words that single
   *   subwords are. The latter two are positions in `languages` and in `senses.glosses`.
   * @param languages the code and the name of each language.
   */
  constructor(tokenizer, { order, senses, languages }) {
    const { pieces, spellings, ids, isByteLevel, settings } = tokenizer;
    this.tokenizer = tokenizer;
    this.pieces = pieces;
    this.spellings = spellings;
    this.ids = ids;
    this.order = order;
    this.senses = senses;
    this.languages = languages;
    this.settings = settings;
    this.special = new Set(settings.ungrouped);
    this.marksStarts = pieces.some((piece) => piece.length > 1 && piece.startsWith(BOUNDARY));
    // What a subword is called in an address.
    this.names = isByteLevel ? idsBy(spellings, idsBy(pieces)) : ids;
  }

  /** A subword's text without the tokenizer's marks. */
  bare(piece) {
    const { prefix } = this.settings;
    const text = piece.startsWith(prefix) ? piece.slice(prefix.length) : piece;
    return (text.startsWith(BOUNDARY) ? text.slice(1) : text) || piece;
  }

  /** The text of a subword, by its id, without the tokenizer's marks. */
  textOf(id) {
    return this.bare(this.pieces[id]);
  }

  /** The script of a subword. */
  scriptOf(id) {
    return scriptOf(this.textOf(id));
  }

  /** Whether a token is the tokenizer's unknown token, and stands for a text that it lacks. */
  isUnknown({ id, text }) {
    return id === this.settings.unknown && text !== this.pieces[id];
  }

  /** Whether a subword continues a word, if the tokenizer marks that. */
  isInside(id) {
    const piece = this.pieces[id];
    const { prefix } = this.settings;
    return prefix ? piece.startsWith(prefix) : this.marksStarts && !piece.startsWith(BOUNDARY);
  }

  /** A subword as readers see it: one that continues a word starts with a hyphen. */
  shown(id) {
    const text = this.textOf(id);
    if (!text) return `no. ${id}`; // the tokenizer has no subword with this id
    if (this.special.has(id) || UNSPACED.has(scriptOf(text))) return visible(text);
    return this.isInside(id) ? `-${text}` : text;
  }

  /** The input that leads to a subword: the word that it is, or `=` and the subword itself. */
  locator(id) {
    const piece = this.pieces[id];
    const text = this.bare(piece);
    const tokens = this.lookUp(text).filter((token) => this.pieces[token.id] !== BOUNDARY);
    if (tokens.length === 1 && tokens[0].id === id) return text;
    return `=${this.names.get(piece) === id ? piece : this.spellings[id]}`;
  }

  /** The subwords of an input, as within running text: the `id` and the `text` of each. */
  lookUp(typed) {
    if (typed.startsWith("=")) {
      const id = this.names.get(typed.slice(1));
      if (id !== undefined) return [{ id, text: typed.slice(1) }];
    }
    if (this.settings.uncut) return this.#exactly(typed);
    const [first] = this.tokenizer.added.parts(typed);
    const isSpaced =
      first === undefined || first.id !== undefined || /^\p{White_Space}/u.test(typed);
    return this.tokenizer.segment(isSpaced ? typed : this.settings.word_prefix + typed);
  }

  /** The subwords that equal the input, for tokenizers that the page cannot follow: those that
   * start a word before those that continue one, and those in the same case first. */
  #exactly(typed) {
    const text = typed.trim();
    const key = text.toLowerCase();
    const rank = (id) => (this.textOf(id) === text ? 0 : 2) + (this.isInside(id) ? 1 : 0);
    return this.startingWith(key)
      .filter((id) => this.textOf(id).toLowerCase() === key)
      .sort((a, b) => rank(a) - rank(b) || a - b)
      .map((id) => ({ id, text: this.pieces[id] }));
  }

  /** Ids of the subwords that start with a prefix in lower case, without the tokenizer's marks. */
  startingWith(prefix) {
    if (!prefix) return [];
    const { order } = this;
    const key = (place) => this.textOf(order[place]).toLowerCase();
    const from = lowerBound(order.length, (place) => key(place) < prefix);
    const isWithin = (place) => key(place).startsWith(prefix);
    const to = from + lowerBound(order.length - from, (place) => isWithin(from + place));
    return Array.from(order.subarray(from, to));
  }

  /** Ids of the most frequent subwords that start with the input, starts of words first. */
  suggest(typed, most = 8) {
    const prefix = (typed.startsWith("=") ? this.bare(typed.slice(1)) : typed.trim()).toLowerCase();
    const { pieces, special } = this;
    const { scores } = this.tokenizer;
    const rank = (id) => (scores.length ? -(scores[id] ?? 0) : id);
    const penalty = scores.length ? 100 : pieces.length;
    return this.startingWith(prefix)
      .filter((id) => !special.has(id) && pieces[id] !== BOUNDARY)
      .map((id) => [rank(id) + (this.isInside(id) ? penalty : 0), id])
      .sort((a, b) => a[0] - b[0])
      .slice(0, most)
      .map(([, id]) => id);
  }

  /** The languages in which a subword is a known word: the `code`, `name` and `gloss` of each. */
  sensesOf(id) {
    const { token, language, gloss, glosses } = this.senses;
    const found = [];
    for (let at = lowerBound(token.length, (place) => token[place] < id); token[at] === id; at++) {
      const [code, name] = this.languages[language[at]];
      found.push({ code, name, gloss: glosses[gloss[at]] });
    }
    return found;
  }

  /** Whether a gloss only repeats the subword. */
  isItself(id, gloss) {
    return gloss.toLowerCase() === this.textOf(id).toLowerCase();
  }

  /** The English of a subword, or an empty text. */
  glossOf(id) {
    return this.sensesOf(id).find(({ gloss }) => gloss && !this.isItself(id, gloss))?.gloss ?? "";
  }

  /** The position of the token to show first: the longest that is known. */
  longestKnown(tokens) {
    const length = (piece) =>
      piece === BOUNDARY ? -1 : BYTES.test(piece) ? 0 : this.bare(piece).length;
    const lengths = tokens.map(({ id }) =>
      id === this.settings.unknown ? 0 : length(this.pieces[id]),
    );
    return lengths.indexOf(Math.max(...lengths));
  }
}

/** A text with symbols for control characters, and for spaces if it has nothing else. */
function visible(text) {
  const marked = Array.from(text, (character) =>
    character < " " ? String.fromCharCode(0x2400 + character.charCodeAt(0)) : character,
  ).join("");
  return marked.trim() ? marked : "␠".repeat(marked.length);
}
