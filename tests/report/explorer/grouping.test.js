import assert from "node:assert/strict";
import { test } from "node:test";
import { Grouping } from "../../../workflow/semantic_tokens/report/explorer/templates/page/grouping.js";

// Groups {1, 2, 5}, {0} and {3, 4, 6, 7}; the last is too large for cosines between its members.
const TOKEN_TO_GROUP = Uint16Array.of(1, 0, 0, 2, 2, 0, 2, 2);
const TO_MEAN = Int8Array.of(100, 50, 60, 30, 10, 70, 40, 20);
const PAIRS = Int8Array.of(90, -80, 20); // (1, 2), (1, 5), (2, 5)
const SCALE = { largestCompared: 3, cosineScale: 100 };
const grouping = new Grouping(
  { alignment: "Unaligned", grouping: "40%", groups: 3 },
  TOKEN_TO_GROUP,
  TO_MEAN,
  PAIRS,
  SCALE,
);

test("members are in ascending order", () => {
  assert.deepEqual([...grouping.membersOf(0)], [1, 2, 5]);
  assert.deepEqual([...grouping.membersOf(2)], [3, 4, 6, 7]);
});

test("neighbours are sorted by their cosine to the subword", () => {
  assert.deepEqual(grouping.neighbours(2), {
    group: 0,
    size: 3,
    isCompared: true,
    others: [
      { id: 1, cosine: 0.9 },
      { id: 5, cosine: 0.2 },
    ],
    toMean: 0.6,
  });
  assert.deepEqual(
    grouping.neighbours(5).others.map(({ id }) => id),
    [2, 1],
  );
});

test("neighbours in a large group are sorted by their cosine to its mean", () => {
  const { isCompared, others } = grouping.neighbours(6);
  assert.equal(isCompared, false);
  assert.deepEqual(others, [
    { id: 3, cosine: 0.3 },
    { id: 7, cosine: 0.2 },
    { id: 4, cosine: 0.1 },
  ]);
});

test("a subword in a group of one has no neighbours", () => {
  assert.deepEqual(grouping.neighbours(0).others, []);
  assert.equal(grouping.name, "Unaligned, 40%");
});
