"use strict";
// Cut a word into subwords as the backbone does, and show the semantic token of each.

// ---- The data -------------------------------------------------------------------------------

const header = JSON.parse(document.getElementById("the-header").textContent);

/** A section of the page: an array or a parsed value. It is taken out of the document. */
async function section(name) {
  const element = document.getElementById(`data-${name}`);
  const text = element.textContent;
  element.remove();
  const packed = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const type = header.types[name];
  if (type === "JSON") return new Response(stream).json();
  return new globalThis[type](await new Response(stream).arrayBuffer());
}

/** One grouping: which subwords are together, and how alike they are. */
class Grouping {
  constructor(described, tokenToGroup, toMean, pairs) {
    Object.assign(this, described);
    this.name = `${this.alignment}, ${this.grouping}`;
    this.tokenToGroup = tokenToGroup;
    this.toMean = toMean;
    this.pairs = pairs;
    this.starts = new Uint32Array(this.groups + 1);
    for (const group of tokenToGroup) this.starts[group + 1]++;
    this.pairStarts = new Float64Array(this.groups + 1);
    for (let group = 0; group < this.groups; group++) {
      const size = this.starts[group + 1];
      const compared = size <= header.largest_compared ? (size * (size - 1)) / 2 : 0;
      this.pairStarts[group + 1] = this.pairStarts[group] + compared;
      this.starts[group + 1] += this.starts[group];
    }
    this.members = new Uint32Array(tokenToGroup.length);
    const next = this.starts.slice();
    tokenToGroup.forEach((group, id) => (this.members[next[group]++] = id));
  }

  /** The ids of a group's subwords, ascending. */
  membersOf(group) {
    return this.members.subarray(this.starts[group], this.starts[group + 1]);
  }

  /** The others of a subword's group, the most alike first: of each `id` and `cosine`, to the
   * subword itself, or to the group's mean where the group is too large for that. */
  neighbours(id) {
    const group = this.tokenToGroup[id];
    const members = this.membersOf(group);
    const size = members.length;
    const isCompared = size <= header.largest_compared;
    const own = members.indexOf(id);
    const others = [];
    for (let place = 0; place < size; place++) {
      if (place === own) continue;
      const [row, column] = place < own ? [place, own] : [own, place];
      const at = this.pairStarts[group] + (row * (2 * size - row - 1)) / 2 + column - row - 1;
      const byte = isCompared ? this.pairs[at] : this.toMean[members[place]];
      others.push({ id: members[place], cosine: byte / header.cosine_scale });
    }
    others.sort((a, b) => b.cosine - a.cosine || a.id - b.id);
    return { group, size, isCompared, others, toMean: this.toMean[id] / header.cosine_scale };
  }
}

// ---- Cutting words, as the `tokenizers` library does ----------------------------------------

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();
const graphemes = Intl.Segmenter ? new Intl.Segmenter("en", { granularity: "grapheme" }) : null;

/** SentencePiece's compiled map of characters: a double array over bytes, and replacements. */
class Charsmap {
  constructor(bytes) {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    this.units = new Uint32Array(bytes.slice(4, 4 + size).buffer);
    this.replacements = bytes.subarray(4 + size);
  }

  /** What the shortest known beginning of some bytes is replaced by, or null. */
  replacement(bytes) {
    const offset = (unit) => (unit >>> 10) << ((unit & 512) >>> 6);
    let place = offset(this.units[0]);
    for (const byte of bytes) {
      if (byte === 0) break;
      place ^= byte;
      const unit = this.units[place];
      if ((unit & 0x800000ff) >>> 0 !== byte) return null;
      place ^= offset(unit);
      if ((unit >>> 8) & 1) {
        const start = this.units[place] & 0x7fffffff;
        const end = this.replacements.indexOf(0, start);
        return fromUtf8.decode(this.replacements.subarray(start, end < 0 ? undefined : end));
      }
    }
    return null;
  }

  normalize(text) {
    let answer = "";
    const clusters = graphemes ? Array.from(graphemes.segment(text), (s) => s.segment) : text;
    for (const cluster of clusters) {
      const bytes = utf8.encode(cluster);
      const whole = bytes.length < 6 ? this.replacement(bytes) : null;
      if (whole !== null) answer += whole;
      else for (const c of cluster) answer += this.replacement(utf8.encode(c)) ?? c;
    }
    return answer;
  }
}

const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const PUNCTUATION = /[!-/:-@[-`{-~]|\p{P}/gu;
const SPACE = /\p{White_Space}/gu;
const WORD_CHARACTER = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const WORD_OR_MARKS = new RegExp(`${WORD_CHARACTER}+|(?:(?!${WORD_CHARACTER})\\P{White_Space})+`, "gu");
const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The characters that byte-level tokenizers write bytes as: of those that can be seen, their own. */
const BYTE_CHARACTERS = (() => {
  const isSeen = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isSeen(byte) ? byte : next++));
})();

const byteLevel = (text) => Array.from(utf8.encode(text), (byte) => BYTE_CHARACTERS[byte]).join("");

/** The text of byte-level characters; what is none stays as it is. */
function fromByteLevel(text) {
  const bytes = Array.from(text, (character) => BYTE_CHARACTERS.indexOf(character));
  return bytes.includes(-1) ? text : fromUtf8.decode(Uint8Array.from(bytes));
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The regular expression of a part of the tokenizer, which has either this or plain text. */
function patternOf(part) {
  part.compiled ??= new RegExp(part.pattern.Regex ?? escaped(part.pattern.String), "gum");
  return part.compiled;
}

const NORMALIZERS = {
  Sequence: (text, part) => part.normalizers.reduce(normalized, text),
  Replace: (text, part) => text.replace(patternOf(part), () => part.content),
  Prepend: (text, part) => text && part.prepend + text,
  ByteLevel: byteLevel,
  Precompiled: (text) => vocabulary.charsmap.normalize(text),
  NFC: (text) => text.normalize("NFC"),
  NFD: (text) => text.normalize("NFD"),
  NFKC: (text) => text.normalize("NFKC"),
  NFKD: (text) => text.normalize("NFKD"),
  Lowercase: (text) => lowercase(text),
  StripAccents: (text) => text.replace(/\p{M}/gu, ""),
  Strip: (text, part) => {
    if (part.strip_left) text = text.replace(/^\p{White_Space}+/u, "");
    return part.strip_right ? text.replace(/\p{White_Space}+$/u, "") : text;
  },
  BertNormalizer: (text, part) => {
    if (part.clean_text) {
      text = text.replace(/[\t\n\r]/g, " ").replace(/[\0\ufffd\p{Cc}\p{Cf}\p{Co}]/gu, "");
      text = text.replace(/\p{White_Space}/gu, " ");
    }
    if (part.handle_chinese_chars) text = text.replace(CHINESE, " $& ");
    if (part.strip_accents ?? part.lowercase) {
      text = text.normalize("NFD").replace(/\p{Mn}/gu, "");
    }
    return part.lowercase ? lowercase(text) : text;
  },
};

/** Small letters, character by character: no final sigma. */
function lowercase(text) {
  return Array.from(text, (character) => character.toLowerCase()).join("");
}

function normalized(text, part) {
  return part ? NORMALIZERS[part.type](text, part) : text;
}

/** A word cut where a pattern matches; `behavior` says what becomes of the matches themselves.
 * What is removed leaves an empty word, so that the first word stays the one at the text's begin. */
function splitAt(word, pattern, behavior, invert = false) {
  const parts = [];
  let from = 0;
  const add = (till, isMatch) => {
    if (from < till) parts.push({ text: word.slice(from, till), isMatch: isMatch !== invert });
    from = till;
  };
  for (const { 0: match, index } of word.matchAll(pattern)) {
    add(index, false);
    add(index + match.length, true);
  }
  add(word.length, false);
  const merged = (isJoined) =>
    parts.reduce((words, part, place) => {
      if (place && isJoined(parts[place - 1], part)) words[words.length - 1] += part.text;
      else words.push(part.text);
      return words;
    }, []);
  switch (behavior) {
    case "Removed":
      return parts.map(({ text, isMatch }) => (isMatch ? "" : text));
    case "MergedWithPrevious":
      return merged((before, part) => part.isMatch && !before.isMatch);
    case "MergedWithNext":
      return merged((before, part) => before.isMatch && !part.isMatch);
    case "Contiguous":
      return merged((before, part) => part.isMatch === before.isMatch);
    default:
      return parts.map(({ text }) => text);
  }
}

// Each makes of a word several. Empty words are dropped in the end.
const PRE_TOKENIZERS = {
  WhitespaceSplit: (word) => splitAt(word, SPACE, "Removed"),
  Whitespace: (word) => splitAt(word, WORD_OR_MARKS, "Removed", true),
  BertPreTokenizer: (word) =>
    splitAt(word, SPACE, "Removed").flatMap((part) => splitAt(part, PUNCTUATION, "Isolated")),
  Punctuation: (word, part) => splitAt(word, PUNCTUATION, part.behavior),
  Digits: (word, part) => splitAt(word, /\p{N}/gu, part.individual_digits ? "Isolated" : "Contiguous"),
  CharDelimiterSplit: (word, part) => splitAt(word, new RegExp(escaped(part.delimiter), "gu"), "Removed"),
  Split: (word, part) => splitAt(word, patternOf(part), part.behavior, part.invert),
  ByteLevel: (word, part) => {
    const spaced = part.add_prefix_space && !word.startsWith(" ") ? ` ${word}` : word;
    return (part.use_regex ? splitAt(spaced, GPT2_WORDS, "Isolated") : [spaced]).map(byteLevel);
  },
  Metaspace: (word, part, place) => {
    const mark = part.replacement;
    let marked = word.replaceAll(" ", mark);
    const scheme = part.prepend_scheme ?? "always";
    const prepends = scheme === "always" || (scheme === "first" && place === 0);
    if (prepends && !marked.startsWith(mark)) marked = mark + marked;
    if (part.split === false) return [marked];
    return splitAt(marked, new RegExp(escaped(mark), "gu"), "MergedWithNext");
  },
};

/** Words after a pre-tokenizer; the first is the one at the text's begin, and may be empty. */
function split(words, part) {
  if (!part) return words;
  if (part.type === "Sequence") return part.pretokenizers.reduce(split, words);
  return words.flatMap((word, place) => (word ? PRE_TOKENIZERS[part.type](word, part, place) : [word]));
}

/** The likeliest cut of a word under a Unigram model: of each subword `id` and `text`. */
function cutUnigram(word) {
  const characters = Array.from(word);
  const best = [{ score: 0 }];
  for (let start = 0; start < characters.length; start++) {
    const till = best[start].score;
    const reach = (end, id, score) => {
      if (!best[end] || till + score > best[end].score) best[end] = { score: till + score, start, id };
    };
    let text = "";
    let isKnown = false;
    const last = Math.min(characters.length, start + vocabulary.longest);
    for (let end = start + 1; end <= last; end++) {
      text += characters[end - 1];
      const id = vocabulary.ids.get(text);
      if (id === undefined) continue;
      reach(end, id, vocabulary.scores[id]);
      if (end === start + 1) isKnown = true;
    }
    if (!isKnown) reach(start + 1, header.segmenter.unknown, vocabulary.unknownScore);
  }
  const tokens = [];
  for (let end = characters.length; end > 0; end = best[end].start) {
    const { start, id } = best[end];
    const text = characters.slice(start, end).join("");
    // What is unknown side by side is one.
    if (id === header.segmenter.unknown && tokens[0]?.id === id) tokens[0].text = text + tokens[0].text;
    else tokens.unshift({ id, text });
  }
  const { unknown, byte_fallback } = header.segmenter;
  if (!byte_fallback) return tokens;
  return tokens.flatMap((token) => (token.id === unknown && bytesOf(token.text)) || [token]);
}

/** The longest subword at a word's begin, and so on. What is left over makes the word unknown. */
function cutWordPiece(word) {
  const characters = Array.from(word);
  const unknown = [{ id: header.segmenter.unknown, text: word }];
  if (characters.length > header.segmenter.longest) return unknown;
  const tokens = [];
  for (let start = 0, end; start < characters.length; start = end) {
    let id;
    for (end = characters.length; end > start; end--) {
      const text = characters.slice(start, end).join("");
      id = vocabulary.ids.get(start ? header.segmenter.prefix + text : text);
      if (id !== undefined) break;
    }
    if (id === undefined) return unknown;
    tokens.push({ id, text: characters.slice(start, end).join("") });
  }
  return tokens;
}

/** The bytes of a text as subwords, or null where one of them is none. */
function bytesOf(text) {
  const tokens = [];
  for (const byte of utf8.encode(text)) {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    if (!vocabulary.ids.has(name)) return null;
    tokens.push({ id: vocabulary.ids.get(name), text: name });
  }
  return tokens;
}

/** The characters of a word, before any are merged. */
function charactersBPE(word) {
  const { prefix, suffix, unknown, byte_fallback, fuse_unk } = header.segmenter;
  const characters = Array.from(word);
  const tokens = [];
  let waiting = null; // what is unknown, until something known follows
  const release = () => {
    if (waiting) tokens.push(waiting);
    waiting = null;
  };
  characters.forEach((text, place) => {
    const spelled = (place ? prefix : "") + text + (place === characters.length - 1 ? suffix : "");
    const id = vocabulary.ids.get(spelled);
    if (id !== undefined) {
      release();
      tokens.push({ id, text });
      return;
    }
    const bytes = byte_fallback ? bytesOf(spelled) : null;
    if (bytes) tokens.push(...bytes); // before what waits, as the library has it
    else if (waiting && fuse_unk) waiting.text += text;
    else {
      release();
      waiting = { id: unknown, text };
    }
  });
  release();
  return tokens.filter(({ id }) => id !== null);
}

/** Characters, of which neighbours become one in the order in which the tokenizer learned that. */
function cutBPE(word) {
  const { prefix, ignore_merges } = header.segmenter;
  if (ignore_merges && vocabulary.ids.has(word)) return [{ id: vocabulary.ids.get(word), text: word }];
  const tokens = charactersBPE(word);
  const rankAt = (place) => (place + 1 < tokens.length ? rankOf(tokens[place].id, tokens[place + 1].id) : Infinity);
  const ranks = tokens.map((_, place) => rankAt(place)); // of each, with its right neighbour
  for (;;) {
    let first = 0;
    for (let place = 1; place < ranks.length; place++) if (ranks[place] < ranks[first]) first = place;
    if (!(ranks[first] < Infinity)) return tokens;
    const [left, right] = tokens.slice(first, first + 2);
    const spelled = vocabulary.spellings[left.id] + vocabulary.spellings[right.id].slice(prefix.length);
    tokens.splice(first, 2, { id: vocabulary.ids.get(spelled), text: left.text + right.text });
    ranks.splice(first, 2, rankAt(first));
    if (first) ranks[first - 1] = rankAt(first - 1);
  }
}

const MODELS = { Unigram: cutUnigram, WordPiece: cutWordPiece, BPE: cutBPE };

/** Added tokens, which are found in a text before it is cut. */
class AddedTokens {
  /** Of each token `id`, and how it is found; `contentOf` gives its text. */
  constructor(tokens, contentOf) {
    this.tokens = new Map(tokens.map((token) => [contentOf(token), token]).filter(([content]) => content));
    const contents = [...this.tokens.keys()].sort((a, b) => b.length - a.length);
    this.pattern = new RegExp(contents.map(escaped).join("|") || "$.^", "gu");
  }

  /** The parts of a text: of each `text`, whether it `isFirst`, and the `id` of an added token. */
  parts(text) {
    const parts = [];
    let from = 0;
    const add = (till, id) => {
      if (from < till) parts.push({ text: text.slice(from, till), isFirst: from === 0, id });
      from = till;
    };
    for (const { 0: content, index } of text.matchAll(this.pattern)) {
      const { id, lstrip, rstrip, single_word } = this.tokens.get(content);
      const before = text.slice(0, index);
      const after = text.slice(index + content.length);
      if (single_word && (ENDS_IN_WORD.test(before) || BEGINS_IN_WORD.test(after))) continue;
      add(lstrip ? Math.max(from, before.replace(/\p{White_Space}+$/u, "").length) : index);
      add(text.length - (rstrip ? after.replace(/^\p{White_Space}+/u, "") : after).length, id);
    }
    add(text.length);
    return parts;
  }
}

const BEGINS_IN_WORD = new RegExp(`^${WORD_CHARACTER}`, "u");
const ENDS_IN_WORD = new RegExp(`${WORD_CHARACTER}$`, "u");

/** The subwords of a text: of each `id`, and `text` as the tokenizer sees it. */
function segment(text) {
  const { type, normalizer, pre_tokenizer, unknown } = header.segmenter;
  const { pieces, spellings } = vocabulary;
  const isByteLevel = pieces !== spellings;
  const cut = (text, isFirst) =>
    split(isFirst ? [text] : ["", text], pre_tokenizer)
      .filter((word) => word)
      .flatMap(MODELS[type])
      .filter(({ id }) => id !== null) // unknown, and the tokenizer has nothing for it
      .map((token) => (isByteLevel && token.id === unknown ? { id: unknown, text: fromByteLevel(token.text) } : token));
  return vocabulary.added.parts(text).flatMap((part) => {
    if (part.id !== undefined) return [part];
    return vocabulary.addedNormalized.parts(normalized(part.text, normalizer)).flatMap((piece) => {
      if (piece.id !== undefined) return [piece];
      return cut(piece.text, part.isFirst && piece.isFirst);
    });
  });
}

// ---- The vocabulary --------------------------------------------------------------------------

const BOUNDARY = "▁";
const UNSPACED = new Set(["Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar", "Digits", "Symbols", "Bytes"]);
const LAST = ["Digits", "Symbols", "Bytes"];
const BYTES = /^▁?(<0x[0-9A-F]{2}>)+$/;
const vocabulary = {};

/** The place of two subwords in the order in which merges were learned; infinite of what is none. */
function rankOf(left, right) {
  const { merges } = vocabulary;
  const size = merges.length / 3;
  const [firsts, seconds, ranks] = [0, 1, 2].map((row) => merges.subarray(row * size, (row + 1) * size));
  const isBelow = (at) => firsts[at] < left || (firsts[at] === left && seconds[at] < right);
  const at = lowerBound(size, isBelow);
  return firsts[at] === left && seconds[at] === right ? ranks[at] : Infinity;
}

/** Text -> id, of the first where several are spelled alike. */
function idsBy(spellings, ids = new Map()) {
  spellings.forEach((spelling, id) => {
    if (spelling && !ids.has(spelling)) ids.set(spelling, id);
  });
  return ids;
}

async function loadVocabulary() {
  const [pieces, spelled, order, scores, merges, charsmap, senses] = await Promise.all(
    ["pieces", "spellings", "order", "scores", "merges", "charsmap", "senses"].map(section),
  );
  // As the tokenizer spells them, where readers do otherwise.
  const spellings = spelled.length ? spelled : pieces;
  const ids = idsBy(spellings);
  const { added, alone } = header.segmenter;
  Object.assign(vocabulary, {
    pieces,
    spellings,
    order,
    scores,
    senses,
    merges,
    ids,
    charsmap: charsmap.length ? new Charsmap(charsmap) : null,
    // What a subword is called in an address.
    names: spelled.length ? idsBy(spellings, idsBy(pieces)) : ids,
    marksBegins: pieces.some((piece) => piece.length > 1 && piece.startsWith(BOUNDARY)),
    longest: pieces.reduce((most, piece) => Math.max(most, piece.length), 0),
    unknownScore: scores.reduce((least, score) => Math.min(least, score), Infinity) - 10,
    alone: new Set(alone),
    added: new AddedTokens(added.filter((token) => !token.normalized), ({ id }) => pieces[id]),
  });
  vocabulary.addedNormalized = new AddedTokens(added.filter((token) => token.normalized), ({ id }) =>
    normalized(pieces[id], header.segmenter.normalizer),
  );
}

/** A subword without the tokenizer's marks. */
function bare(piece) {
  const { prefix } = header.segmenter;
  const text = piece.startsWith(prefix) ? piece.slice(prefix.length) : piece;
  return (text.startsWith(BOUNDARY) ? text.slice(1) : text) || piece;
}

const SCRIPTS = (
  "Latin Cyrillic Greek Arabic Hebrew Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu " +
  "Kannada Malayalam Sinhala Thai Lao Khmer Myanmar Tibetan Georgian Armenian Ethiopic Han " +
  "Hiragana Katakana Hangul Bopomofo Mongolian Syriac Thaana Cherokee Tifinagh Nko Yi Coptic"
)
  .split(" ")
  .map((name) => [name.endsWith("gana") || name === "Katakana" ? "Kana" : name, new RegExp(`\\p{Script=${name}}`, "u")]);

/** The script of a text's first letter; `Digits` or `Symbols` where it has none, `Bytes` of what
 * is no whole character. */
function scriptOf(text) {
  if (BYTES.test(text)) return "Bytes";
  for (const character of text) {
    if (!/\p{L}/u.test(character)) continue;
    const found = SCRIPTS.find(([, pattern]) => pattern.test(character));
    return found ? found[0] : "Other scripts";
  }
  return /\p{N}/u.test(text) ? "Digits" : "Symbols";
}

/** Whether a subword is from inside a word, as far as the tokenizer marks that. */
function isInside(id) {
  const piece = vocabulary.pieces[id];
  const { prefix } = header.segmenter;
  return prefix ? piece.startsWith(prefix) : vocabulary.marksBegins && !piece.startsWith(BOUNDARY);
}

/** A text with signs for what cannot be seen: control characters, and spaces that are all of it. */
function visible(text) {
  const seen = text.replace(/[\0-\x1f]/g, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)));
  return seen.trim() ? seen : "␠".repeat(seen.length);
}

/** A subword as it is read: one from inside a word begins with a hyphen. */
function shown(id) {
  const text = bare(vocabulary.pieces[id]);
  if (!text) return `no. ${id}`; // an id that the tokenizer has no subword for
  if (vocabulary.alone.has(id) || UNSPACED.has(scriptOf(text))) return visible(text);
  return isInside(id) ? `-${text}` : text;
}

/** What is typed for a subword: the word that it is, or `=` and the subword itself. */
function locator(id) {
  const piece = vocabulary.pieces[id];
  const text = bare(piece);
  const tokens = lookUp(text).filter((token) => vocabulary.pieces[token.id] !== BOUNDARY);
  if (tokens.length === 1 && tokens[0].id === id) return text;
  return `=${vocabulary.names.get(piece) === id ? piece : vocabulary.spellings[id]}`;
}

/** The subwords of what was typed, as within running text. */
function lookUp(typed) {
  if (typed.startsWith("=")) {
    const id = vocabulary.names.get(typed.slice(1));
    if (id !== undefined) return [{ id, text: typed.slice(1) }];
  }
  if (header.segmenter.uncut) return whole(typed);
  const [first] = vocabulary.added.parts(typed);
  const isSpaced = first === undefined || first.id !== undefined || /^\p{White_Space}/u.test(typed);
  return segment(isSpaced ? typed : header.segmenter.word_prefix + typed);
}

/** The subwords that are what was typed and no more, where the page cannot cut words: that at a
 * word's begin before that from inside, and before those in other case. */
function whole(typed) {
  const text = typed.trim();
  const key = text.toLowerCase();
  const { pieces } = vocabulary;
  const otherness = (id) => (bare(pieces[id]) === text ? 0 : 2) + (isInside(id) ? 1 : 0);
  return beginningWith(key)
    .filter((id) => bare(pieces[id]).toLowerCase() === key)
    .sort((a, b) => otherness(a) - otherness(b) || a - b)
    .map((id) => ({ id, text: pieces[id] }));
}

/** First place in an ascending run of `length` whose value is not below. */
function lowerBound(length, isBelow) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ids of the subwords that begin so, without the tokenizer's marks and in small letters. */
function beginningWith(prefix) {
  if (!prefix) return [];
  const { order, pieces } = vocabulary;
  const key = (place) => bare(pieces[order[place]]).toLowerCase();
  const from = lowerBound(order.length, (place) => key(place) < prefix);
  const isWithin = (place) => key(place).startsWith(prefix);
  const to = from + lowerBound(order.length - from, (place) => isWithin(from + place));
  return Array.from(order.subarray(from, to));
}

/** Ids of the most frequent subwords that begin so, whole words first. */
function suggest(typed, most = 8) {
  const prefix = (typed.startsWith("=") ? bare(typed.slice(1)) : typed.trim()).toLowerCase();
  const { pieces, scores, alone } = vocabulary;
  const rank = (id) => (scores.length ? -(scores[id] ?? 0) : id);
  const penalty = scores.length ? 100 : pieces.length;
  return beginningWith(prefix)
    .filter((id) => !alone.has(id) && pieces[id] !== BOUNDARY)
    .map((id) => [rank(id) + (isInside(id) ? penalty : 0), id])
    .sort((a, b) => a[0] - b[0])
    .slice(0, most)
    .map(([, id]) => id);
}

/** The languages that a subword is known to be a word of: of each `code`, `name` and `gloss`. */
function sensesOf(id) {
  const { token, language, gloss, glosses } = vocabulary.senses;
  const found = [];
  for (let at = lowerBound(token.length, (place) => token[place] < id); token[at] === id; at++) {
    const [code, name] = header.languages[language[at]];
    found.push({ code, name, gloss: glosses[gloss[at]] });
  }
  return found;
}

// ---- The view --------------------------------------------------------------------------------

// Names that no word of an address is likely to be: a browser scrolls to what it names.
const [input, list, status, main, about] = ["word", "suggestions", "status", "main", "about"].map((id) =>
  document.getElementById(`the-${id}`),
);
const FEW = 18; // members of a language before "show more"
const SOME = 24; // special tokens on the first page
const TOP = 8; // members of a group that is shown beside others
const groupings = [];
let chosen = 0; // the grouping whose members are shown in full
let isReady = false;
let suggested = [];
let active = -1; // of the suggestions
let isTyping = false; // whether the entry of the history is of this typing
let isFollowing = false; // whether a link is, whose focus goes with it

/** An element; attributes that are null or false are left out. */
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== ""));
  return element;
}

const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const decimals = (cosine) => cosine.toFixed(2).replace(/^(-?)0\./, "$1.");

/** A subword in its own direction and, where one is known, its language. */
function word(id) {
  const senses = sensesOf(id);
  return h("bdi", { lang: senses.length === 1 ? senses[0].code : null }, shown(id));
}

function link(id, attributes = {}, ...children) {
  return h("a", { href: `#${encodeURIComponent(locator(id))}`, ...attributes }, ...children);
}

const isItself = (id, gloss) => gloss.toLowerCase() === bare(vocabulary.pieces[id]).toLowerCase();

/** The English of a subword, once. */
function glossOf(id) {
  return sensesOf(id).find(({ gloss }) => gloss && !isItself(id, gloss))?.gloss ?? "";
}

function member({ id, cosine }) {
  const senses = sensesOf(id);
  const gloss = glossOf(id);
  return h(
    "li",
    {},
    link(
      id,
      { class: "member", title: senses.length > 1 ? senses.map((s) => s.name).join(", ") : null },
      word(id),
      gloss ? h("span", { class: "gloss" }, gloss) : null,
      senses.length > 1 ? h("span", { class: "codes" }, codes(senses)) : null,
      h("span", { class: "cosine", style: `--c:${Math.max(0, cosine)}` }, decimals(cosine)),
    ),
  );
}

function codes(senses) {
  const more = senses.length > 4 ? ` +${senses.length - 4}` : "";
  return senses.slice(0, 4).map((sense) => sense.code).join(" ") + more;
}

/** Items by key, the largest first, but those of `last` at the end. */
function grouped(items, keyOf, last) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    found.has(key) ? found.get(key).push(item) : found.set(key, [item]);
  }
  const isLast = (key) => last.indexOf(key) + 1;
  return [...found].sort((a, b) => isLast(a[0]) - isLast(b[0]) || b[1].length - a[1].length);
}

const SEVERAL = "Several languages";
const UNKNOWN = "Language not known";

function languageOf(id) {
  const senses = sensesOf(id);
  return senses.length === 0 ? UNKNOWN : senses.length === 1 ? senses[0].name : SEVERAL;
}

/** Members of one language; the first of many until more are asked for. */
function languageBlock([language, items], _, { length }) {
  const block = h("ul", { class: "members", "aria-label": language }, items.slice(0, FEW).map(member));
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
  const heading = isOnly ? "" : h("h4", {}, language);
  return h("div", { class: isOnly ? "language only" : "language" }, heading, h("div", {}, block, rest.length ? more : ""));
}

function scriptBlock([script, items]) {
  return h(
    "section",
    { class: "script" },
    h("h3", {}, script, " ", h("span", { class: "count" }, String(items.length))),
    grouped(items, (item) => languageOf(item.id), [SEVERAL, UNKNOWN]).map(languageBlock),
  );
}

/** What stands over the members: the subword, and its group. */
function membersPanel(id) {
  const grouping = groupings[chosen];
  const { group, size, isCompared, others, toMean } = grouping.neighbours(id);
  const isSpecial = vocabulary.alone.has(id);
  const senses = sensesOf(id);
  const facts = [isSpecial ? "special token" : scriptOf(bare(vocabulary.pieces[id])), `id ${id}`];
  const meanings = grouped(senses, ({ gloss }) => (isItself(id, gloss) ? "" : gloss), [""]).map(
    ([gloss, those]) => those.slice(0, 4).map(({ name }) => name).join(", ") + (those.length > 4 ? " …" : "") + (gloss && `: ${gloss}`),
  );
  if (meanings.length) facts.unshift(meanings.slice(0, 4).join("; ") + (meanings.length > 4 ? " …" : ""));
  const picker = h(
    "select",
    {
      id: "the-grouping",
      onchange: () => {
        show(Number(picker.value));
        document.getElementById("the-grouping").focus();
      },
    },
    [...new Set(groupings.map((g) => g.alignment))].map((alignment) =>
      h(
        "optgroup",
        { label: alignment },
        groupings.map((g, number) =>
          g.alignment === alignment
            ? h("option", { value: number, selected: number === chosen ? "" : null }, `${g.alignment}, ${g.grouping}`)
            : "",
        ),
      ),
    ),
  );
  const scripts = grouped(others, (item) => scriptOf(bare(vocabulary.pieces[item.id])), LAST);
  const kinds = new Set([...scripts.map(([script]) => script), scriptOf(bare(vocabulary.pieces[id]))]);
  const count = `${plural(size, "subword")} in ${plural(kinds.size, "script")}`;
  let note = isCompared
    ? "Numbers are cosines to this subword, by the embeddings that were grouped."
    : `Numbers are cosines to the group’s mean: the group is too large to compare each with each. This subword’s is ${decimals(toMean)}.`;
  if (size === 1) note = isSpecial ? "A special token: kept out of the grouping, by itself." : "It is by itself here.";
  return h(
    "section",
    { class: "panel", "aria-labelledby": "the-subword" },
    h(
      "div",
      { class: "subword" },
      h("h2", { id: "the-subword" }, word(id)),
      h("code", { title: "as the vocabulary spells it" }, h("bdi", {}, vocabulary.spellings[id])),
      h("p", {}, facts.join(" · ")),
    ),
    h(
      "div",
      { class: "token" },
      h("label", { for: "the-grouping" }, "Semantic token under "),
      picker,
      h(
        "p",
        {},
        h("b", {}, `No. ${group.toLocaleString("en")}`),
        ` of ${grouping.groups.toLocaleString("en")}: ${size === 1 ? "one subword" : count}. ${note}`,
      ),
    ),
    scripts.map(scriptBlock),
  );
}

/** The same subword under every grouping, each against the first. */
function comparison(id) {
  const answers = groupings.map((grouping) => grouping.neighbours(id));
  const heading = h("h2", { id: "the-beside" }, "Side by side");
  const attributes = { class: "beside", "aria-labelledby": "the-beside" };
  if (answers.every(({ size }) => size === 1)) {
    return h("section", attributes, heading, h("p", { class: "note" }, "It is by itself under every grouping."));
  }
  const first = new Set(answers[0].others.map((item) => item.id));
  const card = (grouping, number) => {
    const { size, others } = answers[number];
    const here = new Set(others.map((item) => item.id));
    const gone = answers[0].others.filter((item) => !here.has(item.id));
    const fresh = others.filter((item) => !first.has(item.id));
    const isNew = (item) => number > 0 && !first.has(item.id);
    const change = h("p", { class: "change" });
    if (number === 0) change.append("the others are compared with this");
    else if (!fresh.length && !gone.length) change.append("the same subwords");
    else {
      if (fresh.length) change.append(h("span", { class: "new" }, `+${fresh.length}`), " ");
      if (gone.length) {
        change.append(
          h("span", { class: "gone" }, `−${gone.length}`),
          " ",
          h("s", {}, gone.slice(0, 4).flatMap((item, i) => [i ? " " : "", word(item.id)])),
          gone.length > 4 ? " …" : "",
        );
      }
    }
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
      change,
      h(
        "ol",
        {},
        others
          .slice(0, TOP)
          .map((item) =>
            h(
              "li",
              {},
              link(
                item.id,
                { class: isNew(item) ? "new" : null },
                word(item.id),
                isNew(item) ? h("span", { class: "hidden" }, " (not in the first)") : null,
              ),
              h("span", { class: "cosine" }, decimals(item.cosine)),
            ),
          ),
      ),
      others.length > TOP ? h("p", { class: "rest" }, `and ${others.length - TOP} more`) : "",
    );
  };
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
          groupings.map((grouping, number) => (grouping.alignment === alignment ? card(grouping, number) : "")),
        ),
      ),
    ),
  );
}

/** The subwords of what was typed, one of them selected. */
function cutting(tokens, selected) {
  const tabs = tokens.map(({ id, text }, place) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        "aria-selected": String(place === selected),
        tabindex: place === selected ? 0 : -1,
        class: id === header.segmenter.unknown ? "unknown" : null,
        onclick: () => select(place),
      },
      vocabulary.pieces[id] === BOUNDARY
        ? h("span", { class: "boundary" }, "word begins")
        : h("bdi", {}, id === header.segmenter.unknown ? text : shown(id)),
    ),
  );
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const ends = { Home: 0, End: tabs.length - 1 };
    if (step === undefined && !(event.key in ends)) return;
    event.preventDefault();
    select(event.key in ends ? ends[event.key] : (selected + step + tabs.length) % tabs.length);
    main.querySelector("[role=tab][aria-selected=true]").focus();
  };
  return h("div", { class: "cutting", role: "tablist", "aria-label": "Subwords", onkeydown: move }, tabs);
}

function welcome() {
  const { special } = header.segmenter;
  const keywords = header.keywords.filter((keyword) => {
    const tokens = lookUp(keyword);
    return tokens.length === 1 && groupings[0].neighbours(tokens[0].id).size > 1;
  });
  const words = keywords.map((keyword) => h("li", {}, h("a", { href: `#${encodeURIComponent(keyword)}` }, keyword)));
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
    h("p", { class: "note" }, "They are kept out of the grouping; each is a semantic token by itself."),
    h("ul", { class: "examples" }, special.slice(0, SOME).map((id) => h("li", {}, link(id, {}, h("code", {}, shown(id)))))),
    special.length > SOME ? h("p", { class: "note" }, `and ${special.length - SOME} more.`) : "",
  );
}

/** The subword to begin with: the longest that is known. */
function longestKnown(tokens) {
  const length = (piece) => (piece === BOUNDARY ? -1 : BYTES.test(piece) ? 0 : bare(piece).length);
  const lengths = tokens.map(({ id }) => (id === header.segmenter.unknown ? 0 : length(vocabulary.pieces[id])));
  return lengths.indexOf(Math.max(...lengths));
}

let current = { typed: "", tokens: [], selected: 0 };

/** Show what was typed; it ends in the document before this returns. */
function render(typed, selected = null) {
  if (!isReady) return;
  const tokens = typed.trim() ? lookUp(typed) : [];
  current = { typed, tokens, selected: selected ?? (tokens.length ? longestKnown(tokens) : 0) };
  document.title = typed.trim() ? `${typed.trim()} · Semantic tokens` : "Semantic tokens";
  if (!typed.trim()) {
    status.textContent = "";
    main.replaceChildren(welcome());
  } else if (!tokens.length) {
    status.textContent = header.segmenter.uncut
      ? "This is no whole subword."
      : "Nothing of this is left after the tokenizer’s normalisation.";
    main.replaceChildren();
  } else show(chosen);
  main.dataset.shows = typed;
}

/** Show the selected subword, its members under one of the groupings. */
function show(number) {
  chosen = number;
  const { tokens, selected } = current;
  const { id, text } = tokens[selected];
  const isUnknown = id === header.segmenter.unknown && text !== vocabulary.pieces[id];
  const parts = tokens.filter((token) => vocabulary.pieces[token.id] !== BOUNDARY).length;
  const unknown = tokens.filter((token) => token.id === header.segmenter.unknown && token.text !== vocabulary.pieces[token.id]);
  status.textContent = `${plural(parts, "subword")}.`;
  if (!isUnknown) {
    const { size } = groupings[chosen].neighbours(id);
    status.textContent += ` ${shown(id)} ${size === 1 ? "is by itself" : `shares a semantic token with ${size - 1} more`} (${groupings[chosen].name}).`;
  }
  if (unknown.length) status.textContent += ` Not in the vocabulary: ${unknown.map((token) => token.text).join(", ")}.`;
  const panels = isUnknown
    ? [
        h(
          "section",
          { class: "panel" },
          h("h2", {}, h("bdi", {}, text)),
          h("p", { class: "notice" }, "No subword of the backbone covers this: it reads ", h("code", {}, vocabulary.pieces[id]), ", the unknown token, which is a semantic token by itself."),
        ),
      ]
    : [membersPanel(id), comparison(id)];
  main.replaceChildren(cutting(tokens, selected), h("div", { class: "panels", role: "tabpanel", "aria-label": shown(id) }, panels));
}

function select(place) {
  current.selected = place;
  history.replaceState({ selected: place }, "");
  show(chosen);
}

// ---- Typing ----------------------------------------------------------------------------------

function close() {
  suggested = [];
  active = -1;
  list.hidden = true;
  list.replaceChildren();
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function propose() {
  suggested = suggest(input.value);
  if (!suggested.length) return close();
  active = -1;
  input.removeAttribute("aria-activedescendant");
  list.replaceChildren(
    ...suggested.map((id, place) =>
      h(
        "li",
        {
          role: "option",
          id: `the-suggestion-${place}`,
          "aria-selected": "false",
          // Before the field loses the focus, which would close the list.
          onmousedown: (event) => {
            event.preventDefault();
            take(place);
          },
        },
        word(id),
        h("span", { class: "gloss" }, glossOf(id) || codes(sensesOf(id))),
      ),
    ),
  );
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
}

function point(place) {
  active = place;
  [...list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
  if (active < 0) return input.removeAttribute("aria-activedescendant");
  input.setAttribute("aria-activedescendant", list.children[active].id);
  list.children[active].scrollIntoView({ block: "nearest" });
}

function take(place) {
  go(locator(suggested[place]));
}

/** Look a word up, as an entry of the history of its own. */
function go(typed) {
  close();
  isTyping = false;
  const hash = `#${encodeURIComponent(typed)}`;
  input.value = typed;
  if (hash !== location.hash) history.pushState(null, "", hash);
  render(typed);
}

input.addEventListener("input", (event) => {
  if (event.isComposing && !input.value) return;
  const hash = `#${encodeURIComponent(input.value)}`;
  // All of one typing is one entry, and what was shown before it stays one.
  if (isTyping) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  isTyping = true;
  if (!isReady) return;
  render(input.value);
  propose();
});

input.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const last = suggested.length - 1;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!suggested.length) return propose();
    const step = event.key === "ArrowDown" ? 1 : -1;
    const next = active + step;
    point(next > last ? -1 : next < -1 ? last : next);
  } else if (event.key === "Enter") {
    if (active >= 0) take(active);
    else {
      isTyping = false;
      close();
    }
  } else if (event.key === "Escape") {
    if (!list.hidden) close();
    else if (input.value) go("");
    else input.blur();
  }
});

input.addEventListener("blur", () => {
  close();
  isTyping = false;
});

document.addEventListener("keydown", (event) => {
  const isField = event.target.closest?.("input, select, textarea");
  if (event.key !== "/" || isField || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  input.focus();
  input.select();
});

/** Show what the address says: after a link, "back" or "forward". */
function follow(selected = null) {
  let typed = location.hash.slice(1);
  try {
    typed = decodeURIComponent(typed);
  } catch {
    // A half-typed address: taken as it is.
  }
  isTyping = false;
  if (input.value !== typed) input.value = typed;
  close();
  render(typed, selected);
  if (isFollowing) main.querySelector("[role=tab][aria-selected=true]")?.focus({ preventScroll: true });
  isFollowing = false;
}

window.addEventListener("popstate", (event) => follow(event.state?.selected ?? null));
main.addEventListener("click", (event) => {
  if (!event.target.closest("a") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  isFollowing = true;
  window.scrollTo(0, 0);
});

// ---- Light and dark --------------------------------------------------------------------------

const theme = document.getElementById("the-theme");
const isDark = () => {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function paint(set) {
  if (set) document.documentElement.dataset.theme = set;
  theme.textContent = isDark() ? "☀ Light" : "☾ Dark";
}

theme.addEventListener("click", () => {
  const set = isDark() ? "light" : "dark";
  paint(set);
  try {
    localStorage.setItem("theme", set);
  } catch {
    // A browser that keeps nothing for files: it holds until the page is closed.
  }
});

// ---- The start -------------------------------------------------------------------------------

async function start() {
  let kept = null;
  try {
    kept = localStorage.getItem("theme");
  } catch {
    // As above.
  }
  paint(kept);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
  if (!globalThis.DecompressionStream) {
    status.className = "notice";
    status.textContent = "This browser is too old to unpack the vocabulary: it has no DecompressionStream.";
    return;
  }
  await loadVocabulary();
  for (const [number, described] of header.groupings.entries()) {
    const parts = await Promise.all(["groups", "to-mean", "pairs"].map((part) => section(`${part}-${number}`)));
    groupings.push(new Grouping(described, ...parts));
  }
  const dimension = header.dimension ? `, first ${header.dimension} columns` : "";
  about.textContent =
    `${header.backbone}${dimension}: ${plural(vocabulary.pieces.length, "subword")}, ` +
    `${plural(groupings.length, "grouping")}. Languages and English are from the study’s lexicons; ` +
    "a subword that is in none of them may still be a word.";
  isReady = true;
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  if (input.value) render(input.value);
  else follow(history.state?.selected ?? null);
}

start().catch((error) => {
  status.className = "notice";
  status.textContent = `This page could not be unpacked (${error.message}); make it again.`;
  throw error;
});
