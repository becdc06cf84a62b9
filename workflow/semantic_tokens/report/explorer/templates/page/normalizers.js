// Normalizers, as the `tokenizers` library has them.

import { byteLevel } from "./bytes.js";
import { patternOf } from "./patterns.js";

const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** Each takes a text, its settings, and the tokenizer's compiled map of characters. */
const NORMALIZERS = {
  Sequence: (text, part, charsmap) =>
    part.normalizers.reduce((before, next) => normalized(before, next, charsmap), text),
  Replace: (text, part) => text.replace(patternOf(part), () => part.content),
  Prepend: (text, part) => text && part.prepend + text,
  ByteLevel: byteLevel,
  Precompiled: (text, _, charsmap) => charsmap.normalize(text),
  NFC: (text) => text.normalize("NFC"),
  NFD: (text) => text.normalize("NFD"),
  NFKC: (text) => text.normalize("NFKC"),
  NFKD: (text) => text.normalize("NFKD"),
  Lowercase: (text) => lowercase(text),
  StripAccents: (text) => text.replace(/\p{M}/gu, ""),
  Strip: (text, part) => {
    const start = part.strip_left ? text.replace(/^\p{White_Space}+/u, "") : text;
    return part.strip_right ? start.replace(/\p{White_Space}+$/u, "") : start;
  },
  BertNormalizer: (text, part) => {
    let answer = text;
    if (part.clean_text) {
      answer = answer.replace(/[\t\n\r]/g, " ").replace(/[\0\ufffd\p{Cc}\p{Cf}\p{Co}]/gu, "");
      answer = answer.replace(/\p{White_Space}/gu, " ");
    }
    if (part.handle_chinese_chars) answer = answer.replace(CHINESE, " $& ");
    if (part.strip_accents ?? part.lowercase) {
      answer = answer.normalize("NFD").replace(/\p{Mn}/gu, "");
    }
    return part.lowercase ? lowercase(answer) : answer;
  },
};

/** Lower case, character by character: without a final sigma. */
function lowercase(text) {
  return Array.from(text, (character) => character.toLowerCase()).join("");
}

/**
 * A normalized text.
 *
 * @param part the normalizer as `tokenizer.json` describes it, or null.
 * @param charsmap the Charsmap of a normalizer of type "Precompiled", or null.
 */
export function normalized(text, part, charsmap = null) {
  return part ? NORMALIZERS[part.type](text, part, charsmap) : text;
}
