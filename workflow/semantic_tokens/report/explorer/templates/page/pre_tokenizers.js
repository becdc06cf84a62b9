// Pre-tokenizers, as the `tokenizers` library has them: they split a text into words.

import { byteLevel } from "./bytes.js";
import { escaped, patternOf, WORD_OR_MARKS } from "./patterns.js";

const PUNCTUATION = /[!-/:-@[-`{-~]|\p{P}/gu;
const SPACE = /\p{White_Space}/gu;
const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/**
 * Split a word at the matches of a pattern.
 *
 * Removed matches leave an empty word, so that the first word stays the one at the start of the
 * text.
 *
 * @param {string} behavior what becomes of the matches, as the library names it.
 * @param {boolean} invert whether the text between the matches counts as the matches.
 */
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

/** Each splits one word into several, some of which may be empty. */
const PRE_TOKENIZERS = {
  WhitespaceSplit: (word) => splitAt(word, SPACE, "Removed"),
  Whitespace: (word) => splitAt(word, WORD_OR_MARKS, "Removed", true),
  BertPreTokenizer: (word) =>
    splitAt(word, SPACE, "Removed").flatMap((part) => splitAt(part, PUNCTUATION, "Isolated")),
  Punctuation: (word, part) => splitAt(word, PUNCTUATION, part.behavior),
  Digits: (word, part) =>
    splitAt(word, /\p{N}/gu, part.individual_digits ? "Isolated" : "Contiguous"),
  CharDelimiterSplit: (word, part) =>
    splitAt(word, new RegExp(escaped(part.delimiter), "gu"), "Removed"),
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

/**
 * Split words further.
 *
 * @param {string[]} words the first is the one at the start of the text, and may be empty.
 * @param part the pre-tokenizer as `tokenizer.json` describes it, or null.
 */
export function split(words, part) {
  if (!part) return words;
  if (part.type === "Sequence") return part.pretokenizers.reduce(split, words);
  return words.flatMap((word, place) =>
    word ? PRE_TOKENIZERS[part.type](word, part, place) : [word],
  );
}
