import assert from "node:assert/strict";
import { test } from "node:test";
import { lowerBound } from "../../../workflow/semantic_tokens/report/explorer/templates/page/search.js";

test("lowerBound finds the same position as a linear search", () => {
  const values = [1, 3, 3, 3, 7, 9];
  for (let length = 0; length <= values.length; length++) {
    for (let target = 0; target <= 10; target++) {
      const linear = values.slice(0, length).filter((value) => value < target).length;
      assert.equal(
        lowerBound(length, (at) => values[at] < target),
        linear,
      );
    }
  }
});
