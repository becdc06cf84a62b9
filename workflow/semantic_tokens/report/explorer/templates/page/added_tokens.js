// Added tokens: the tokenizer finds them in a text before it cuts the rest.

import { ENDS_IN_WORD, escaped, STARTS_IN_WORD } from "./patterns.js";

export class AddedTokens {
  /**
   * @param tokens the `id` of each, and its flags `lstrip`, `rstrip` and `single_word`.
   * @param contentOf the text of such a token; tokens without text are never found.
   */
  constructor(tokens, contentOf) {
    this.tokens = new Map(
      tokens.map((token) => [contentOf(token), token]).filter(([content]) => content),
    );
    const contents = [...this.tokens.keys()].sort((a, b) => b.length - a.length);
    this.pattern = new RegExp(contents.map(escaped).join("|") || "$.^", "gu");
  }

  /** The parts of a text: the `text` of each, whether it `isFirst`, and the `id` if it is an added
   * token. */
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
      if (single_word && (ENDS_IN_WORD.test(before) || STARTS_IN_WORD.test(after))) continue;
      add(lstrip ? Math.max(from, before.replace(/\p{White_Space}+$/u, "").length) : index);
      add(text.length - (rstrip ? after.replace(/^\p{White_Space}+/u, "") : after).length, id);
    }
    add(text.length);
    return parts;
  }
}
