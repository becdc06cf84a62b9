// Regular expressions that several parts of the tokenizer use.

const WORD_CHARACTER = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";

export const STARTS_IN_WORD = new RegExp(`^${WORD_CHARACTER}`, "u");
export const ENDS_IN_WORD = new RegExp(`${WORD_CHARACTER}$`, "u");
export const WORD_OR_MARKS = new RegExp(
  `${WORD_CHARACTER}+|(?:(?!${WORD_CHARACTER})\\P{White_Space})+`,
  "gu",
);

/** A pattern that matches exactly this text. */
export function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The regular expression of a tokenizer's component, whose `pattern` is `Regex` or `String`. */
export function patternOf(part) {
  part.compiled ??= new RegExp(part.pattern.Regex ?? escaped(part.pattern.String), "gum");
  return part.compiled;
}
