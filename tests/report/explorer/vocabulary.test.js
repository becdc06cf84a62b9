import assert from "node:assert/strict";
import { test } from "node:test";
import { scriptOf } from "../../../workflow/semantic_tokens/report/explorer/templates/page/scripts.js";
import { Vocabulary } from "../../../workflow/semantic_tokens/report/explorer/templates/page/vocabulary.js";
import { unigram } from "./tokenizers.js";

// <unk> ▁ ▁tom ato ▁to mato a <mask>, sorted by their text in lower case
const ORDER = Uint16Array.of(7, 0, 6, 3, 5, 4, 2, 1);
const SENSES = {
  token: [2, 2, 5],
  language: [0, 1, 1],
  gloss: [0, 1, 2],
  glosses: ["", "tom", "mother"],
};
const LANGUAGES = [
  ["en", "English"],
  ["de", "German"],
];
const vocabularyOf = (settings) =>
  new Vocabulary(unigram(settings), { order: ORDER, senses: SENSES, languages: LANGUAGES });
const vocabulary = vocabularyOf();

test("a typed word is segmented like a word in running text", () => {
  const idsOf = (typed) => vocabulary.lookUp(typed).map(({ id }) => id);
  assert.deepEqual(idsOf("tomato"), [4, 5]);
  assert.deepEqual(idsOf("=mato"), [5]);
  assert.deepEqual(idsOf("=tomato"), [1, 0, 5]); // no such subword, so it is segmented as text
});

test("every subword has an address that leads back to it", () => {
  vocabulary.pieces.forEach((_, id) => {
    const found = vocabulary.lookUp(vocabulary.locator(id)).map((token) => token.id);
    assert.ok(found.includes(id), vocabulary.pieces[id]);
  });
  assert.equal(vocabulary.locator(2), "tom");
  assert.equal(vocabulary.locator(5), "mato");
  assert.equal(vocabulary.locator(1), "=▁");
});

test("a subword that continues a word is shown with a hyphen", () => {
  assert.deepEqual(
    vocabulary.pieces.map((_, id) => vocabulary.shown(id)),
    ["<unk>", "▁", "tom", "-ato", "to", "-mato", "-a", "<mask>"],
  );
});

test("suggestions start with the input, starts of words first", () => {
  const textsOf = (typed) => vocabulary.suggest(typed).map((id) => vocabulary.pieces[id]);
  assert.deepEqual(textsOf("TO"), ["▁to", "▁tom"]);
  assert.deepEqual(textsOf("a"), ["ato", "a"]);
  assert.deepEqual(textsOf(" "), []);
  assert.deepEqual(textsOf("<"), []); // special tokens are not suggested
});

test("with an unsupported tokenizer, only exact matches are found", () => {
  const uncut = vocabularyOf({ uncut: "a normalizer of type Nmt" });
  assert.deepEqual(
    uncut.lookUp("TOM").map(({ id }) => id),
    [2],
  );
  assert.deepEqual(uncut.lookUp("tomato"), []);
});

test("senses give the languages and the English gloss of a subword", () => {
  assert.deepEqual(vocabulary.sensesOf(2), [
    { code: "en", name: "English", gloss: "" },
    { code: "de", name: "German", gloss: "tom" },
  ]);
  assert.equal(vocabulary.glossOf(2), ""); // it only repeats the subword
  assert.equal(vocabulary.glossOf(5), "mother");
  assert.deepEqual(vocabulary.sensesOf(3), []);
});

test("the longest known subword is shown first", () => {
  assert.equal(vocabulary.longestKnown(vocabulary.lookUp("tomato")), 1);
  assert.equal(vocabulary.longestKnown(vocabulary.lookUp("xyza")), 2);
});

test("the script is that of the first letter", () => {
  for (const [text, script] of [
    ["1st", "Latin"],
    ["вода", "Cyrillic"],
    ["カナ", "Kana"],
    ["番茄", "Han"],
    ["2024", "Digits"],
    ["…", "Symbols"],
    ["<0xE7>", "Bytes"],
    ["ᚠ", "Other scripts"],
  ]) {
    assert.equal(scriptOf(text), script, text);
  }
});
