// The models that cut one word into subwords, as the `tokenizers` library has them.
//
// Each takes the word and its tokenizer, and returns the `id` and the `text` of every subword.

import { utf8 } from "./bytes.js";
import { lowerBound } from "./search.js";

/** The segmentation of a word that is most likely under a Unigram model. */
function cutUnigram(word, { ids, scores, longest, unknownScore, settings }) {
  const { unknown, byte_fallback } = settings;
  const characters = Array.from(word);
  const best = [{ score: 0 }];
  for (let start = 0; start < characters.length; start++) {
    const till = best[start].score;
    const reach = (end, id, score) => {
      if (!best[end] || till + score > best[end].score) {
        best[end] = { score: till + score, start, id };
      }
    };
    let text = "";
    let isKnown = false;
    const last = Math.min(characters.length, start + longest);
    for (let end = start + 1; end <= last; end++) {
      text += characters[end - 1];
      const id = ids.get(text);
      if (id === undefined) continue;
      reach(end, id, scores[id]);
      if (end === start + 1) isKnown = true;
    }
    if (!isKnown) reach(start + 1, unknown, unknownScore);
  }
  const tokens = [];
  for (let end = characters.length; end > 0; end = best[end].start) {
    const { start, id } = best[end];
    const text = characters.slice(start, end).join("");
    // Adjacent unknown characters are one unknown token.
    if (id === unknown && tokens[0]?.id === id) tokens[0].text = text + tokens[0].text;
    else tokens.unshift({ id, text });
  }
  if (!byte_fallback) return tokens;
  return tokens.flatMap((token) => (token.id === unknown && bytesOf(token.text, ids)) || [token]);
}

/** The longest subword at the start of a word, then of the rest. A rest without one makes the
 * entire word unknown. */
function cutWordPiece(word, { ids, settings }) {
  const characters = Array.from(word);
  const unknown = [{ id: settings.unknown, text: word }];
  if (characters.length > settings.longest) return unknown;
  const tokens = [];
  for (let start = 0, end; start < characters.length; start = end) {
    let id;
    for (end = characters.length; end > start; end--) {
      const text = characters.slice(start, end).join("");
      id = ids.get(start ? settings.prefix + text : text);
      if (id !== undefined) break;
    }
    if (id === undefined) return unknown;
    tokens.push({ id, text: characters.slice(start, end).join("") });
  }
  return tokens;
}

/** The bytes of a text as subwords, or null if the vocabulary lacks one of them. */
function bytesOf(text, ids) {
  const tokens = [];
  for (const byte of utf8.encode(text)) {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    if (!ids.has(name)) return null;
    tokens.push({ id: ids.get(name), text: name });
  }
  return tokens;
}

/** The characters of a word, before any are merged. */
function charactersBPE(word, { ids, settings }) {
  const { prefix, suffix, unknown, byte_fallback, fuse_unk } = settings;
  const characters = Array.from(word);
  const tokens = [];
  let waiting = null; // an unknown token, until a known one follows
  const release = () => {
    if (waiting) tokens.push(waiting);
    waiting = null;
  };
  characters.forEach((text, place) => {
    const spelled = (place ? prefix : "") + text + (place === characters.length - 1 ? suffix : "");
    const id = ids.get(spelled);
    if (id !== undefined) {
      release();
      tokens.push({ id, text });
      return;
    }
    const bytes = byte_fallback ? bytesOf(spelled, ids) : null;
    if (bytes)
      tokens.push(...bytes); // before the waiting token, as in the library
    else if (waiting && fuse_unk) waiting.text += text;
    else {
      release();
      waiting = { id: unknown, text };
    }
  });
  release();
  return tokens.filter(({ id }) => id !== null);
}

/** The rank of the merge of two subwords, in the order of learning; infinite if there is none.
 *
 * `merges` holds three rows: the left ids, the right ids, and the ranks, sorted by the ids. */
function rankOf(left, right, merges) {
  const size = merges.length / 3;
  const [lefts, rights, ranks] = [0, 1, 2].map((row) =>
    merges.subarray(row * size, (row + 1) * size),
  );
  const isBelow = (at) => lefts[at] < left || (lefts[at] === left && rights[at] < right);
  const at = lowerBound(size, isBelow);
  return lefts[at] === left && rights[at] === right ? ranks[at] : Infinity;
}

/** Characters, merged pair by pair in the order in which the tokenizer learned the merges. */
function cutBPE(word, tokenizer) {
  const { ids, merges, spellings, settings } = tokenizer;
  const { prefix, ignore_merges } = settings;
  if (ignore_merges && ids.has(word)) return [{ id: ids.get(word), text: word }];
  const tokens = charactersBPE(word, tokenizer);
  const rankAt = (place) =>
    place + 1 < tokens.length ? rankOf(tokens[place].id, tokens[place + 1].id, merges) : Infinity;
  const ranks = tokens.map((_, place) => rankAt(place)); // of each token with its right neighbour
  for (;;) {
    let first = 0;
    for (let place = 1; place < ranks.length; place++) {
      if (ranks[place] < ranks[first]) first = place;
    }
    if (!(ranks[first] < Infinity)) return tokens;
    const [left, right] = tokens.slice(first, first + 2);
    const spelled = spellings[left.id] + spellings[right.id].slice(prefix.length);
    tokens.splice(first, 2, { id: ids.get(spelled), text: left.text + right.text });
    ranks.splice(first, 2, rankAt(first));
    if (first) ranks[first - 1] = rankAt(first - 1);
  }
}

export const MODELS = { Unigram: cutUnigram, WordPiece: cutWordPiece, BPE: cutBPE };
