import assert from "node:assert/strict";
import { test } from "node:test";
import {
  byteLevel,
  fromByteLevel,
} from "../../../workflow/semantic_tokens/report/explorer/templates/page/bytes.js";
import { normalized } from "../../../workflow/semantic_tokens/report/explorer/templates/page/normalizers.js";
import { split } from "../../../workflow/semantic_tokens/report/explorer/templates/page/pre_tokenizers.js";
import { tokenizerOf, unigram } from "./tokenizers.js";

const textsOf = (tokens) => tokens.map(({ text }) => text);
const idsOf = (tokens) => tokens.map(({ id }) => id);

test("Unigram takes the segmentation with the highest score", () => {
  // "▁to" + "mato" has -6, "▁tom" + "ato" has -9.
  assert.deepEqual(textsOf(unigram().segment("tomato")), ["▁to", "mato"]);
});

test("Unigram joins adjacent unknown characters", () => {
  assert.deepEqual(unigram().segment("xyza"), [
    { id: 1, text: "▁" },
    { id: 0, text: "xyz" },
    { id: 6, text: "a" },
  ]);
});

test("an added token is found in the text, and takes the space before it", () => {
  assert.deepEqual(idsOf(unigram().segment("to <mask>a")), [4, 7, 1, 6]);
});

test("WordPiece takes the longest subword from the left", () => {
  const tokenizer = tokenizerOf(["[UNK]", "un", "##aff", "##able", "##a"], {
    type: "WordPiece",
    prefix: "##",
    longest: 10,
    pre_tokenizer: { type: "BertPreTokenizer" },
  });
  assert.deepEqual(idsOf(tokenizer.segment("unaffable un")), [1, 2, 3, 1]);
  assert.deepEqual(textsOf(tokenizer.segment("unaffable")), ["un", "aff", "able"]);
  assert.deepEqual(idsOf(tokenizer.segment("unab")), [0]); // no subword covers "b"
  assert.deepEqual(idsOf(tokenizer.segment("unaaaaaaaa")), [1, 4, 4, 4, 4, 4, 4, 4, 4]);
  assert.deepEqual(idsOf(tokenizer.segment("unaaaaaaaaa")), [0]); // longer than ten characters
});

test("BPE merges in the order in which the merges were learned", () => {
  const pieces = ["<unk>", "l", "o", "w", "lo", "low", "ow"];
  // "o w" was learned before "l o", and "lo w" last.
  const merges = Uint16Array.of(...[1, 2, 4], ...[2, 3, 3], ...[1, 0, 2]);
  const bpe = (settings) => tokenizerOf(pieces, { type: "BPE", ...settings }, { merges });
  assert.deepEqual(textsOf(bpe({}).segment("low")), ["l", "ow"]);
  assert.deepEqual(textsOf(bpe({}).segment("lol")), ["lo", "l"]);
  assert.deepEqual(textsOf(bpe({ ignore_merges: true }).segment("low")), ["low"]);
  assert.deepEqual(bpe({ fuse_unk: true }).segment("lxyo"), [
    { id: 1, text: "l" },
    { id: 0, text: "xy" },
    { id: 2, text: "o" },
  ]);
  assert.deepEqual(idsOf(bpe({ fuse_unk: false }).segment("xy")), [0, 0]);
  assert.deepEqual(idsOf(bpe({ unknown: null }).segment("lxo")), [4]);
});

test("a character outside the vocabulary falls back to its bytes", () => {
  const pieces = ["<unk>", "a", "<0xC3>", "<0xA9>"];
  const tokenizer = tokenizerOf(pieces, { type: "BPE", byte_fallback: true });
  assert.deepEqual(idsOf(tokenizer.segment("aé")), [1, 2, 3]);
  assert.deepEqual(idsOf(tokenizer.segment("aè")), [1, 0]); // a byte of it is missing
});

test("byte-level text round-trips", () => {
  assert.equal(byteLevel("é \n"), "Ã©ĠĊ");
  assert.equal(fromByteLevel("Ã©ĠĊ"), "é \n");
  assert.equal(fromByteLevel("番茄"), "番茄");
});

test("BERT's normalizer cleans, spaces and strips", () => {
  const part = {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  };
  assert.equal(normalized("Á\u0000b\t番茄", part), "ab  番  茄 ");
  assert.equal(normalized("Á", { ...part, lowercase: false }), "Á");
});

test("a pattern splits according to its behavior", () => {
  const cut = (behavior, invert = false) =>
    split(["ab--c"], { type: "Split", pattern: { String: "-" }, behavior, invert });
  assert.deepEqual(cut("Isolated"), ["ab", "-", "-", "c"]);
  assert.deepEqual(cut("Removed"), ["ab", "", "", "c"]);
  assert.deepEqual(cut("MergedWithPrevious"), ["ab-", "-", "c"]);
  assert.deepEqual(cut("MergedWithNext"), ["ab", "-", "-c"]);
  assert.deepEqual(cut("Contiguous"), ["ab", "--", "c"]);
  assert.deepEqual(cut("Removed", true), ["", "-", "-", ""]);
});
