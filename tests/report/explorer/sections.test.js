import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { unpack } from "../../../workflow/semantic_tokens/report/explorer/templates/page/sections.js";

const packed = (bytes) => deflateSync(bytes).toString("base64");

test("arrays keep their type and their values", async () => {
  for (const array of [
    Uint16Array.of(0, 65535),
    Int8Array.of(-127, 0, 127),
    Float32Array.of(-3.5, 0.1),
  ]) {
    const found = await unpack(packed(Buffer.from(array.buffer)), array.constructor.name);
    assert.deepEqual(found, array);
  }
});

test("JSON is parsed as UTF-8", async () => {
  const value = { pieces: ["▁番茄", "</script>"], token: [1, 2] };
  assert.deepEqual(await unpack(packed(JSON.stringify(value)), "JSON"), value);
});

test("a section that is cut off is an error", async () => {
  const text = packed(Buffer.alloc(1000, "abc")).slice(0, 8);
  await assert.rejects(unpack(text, "Uint8Array"));
});
