// Scripts of writing systems.

/** Scripts without spaces between words, and what has no script. */
export const UNSPACED = new Set([
  "Han",
  "Kana",
  "Thai",
  "Lao",
  "Khmer",
  "Myanmar",
  "Digits",
  "Symbols",
  "Bytes",
]);

/** A subword that is one or more bytes of an incomplete character. */
export const BYTES = /^▁?(<0x[0-9A-F]{2}>)+$/;

const KANA = new Set(["Hiragana", "Katakana"]);
const SCRIPTS = (
  "Latin Cyrillic Greek Arabic Hebrew Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu " +
  "Kannada Malayalam Sinhala Thai Lao Khmer Myanmar Tibetan Georgian Armenian Ethiopic Han " +
  "Hiragana Katakana Hangul Bopomofo Mongolian Syriac Thaana Cherokee Tifinagh Nko Yi Coptic"
)
  .split(" ")
  .map((name) => [KANA.has(name) ? "Kana" : name, new RegExp(`\\p{Script=${name}}`, "u")]);

/** The script of a text's first letter. A text without letters is `Digits` or `Symbols`, and an
 * incomplete character is `Bytes`. */
export function scriptOf(text) {
  if (BYTES.test(text)) return "Bytes";
  for (const character of text) {
    if (!/\p{L}/u.test(character)) continue;
    const found = SCRIPTS.find(([, pattern]) => pattern.test(character));
    return found ? found[0] : "Other scripts";
  }
  return /\p{N}/u.test(text) ? "Digits" : "Symbols";
}
