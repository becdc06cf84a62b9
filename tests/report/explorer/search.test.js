import assert from "node:assert/strict";
import { test } from "node:test";
import { lowerBound } from "../../../workflow/semantic_tokens/report/explorer/templates/page/search.js";

test("the first position that is not below, as a linear search finds it", () => {
  const values = [1, 3, 3, 3, 7, 9];
  for (let length = 0; length <= values.length; length++) {
    for (let wanted = 0; wanted <= 10; wanted++) {
      const linear = values.slice(0, length).filter((value) => value < wanted).length;
      assert.equal(
        lowerBound(length, (at) => values[at] < wanted),
        linear,
      );
    }
  }
});
