import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load } from "./load.mjs";

const { decoded } = load(["decoding.js"], ["decoded"]);
const { columns } = fixture();

test("columns that Python encoded come back, in order", () => {
  assert.ok(columns.length > 100);
  for (const { texts, encoded } of columns) {
    const at = decoded(encoded);
    assert.deepEqual(
      texts.map((_, i) => at(i)),
      texts,
    );
  }
});

test("columns that Python encoded come back, in any order", () => {
  for (const { texts, encoded } of columns) {
    const at = decoded(encoded);
    for (let i = texts.length - 1; i >= 0; i--) assert.equal(at(i), texts[i]);
  }
});

test("every shape of a column was among them", () => {
  const shapes = columns.map(({ encoded }) =>
    typeof encoded === "string" ? "text" : Array.isArray(encoded) ? "list" : Object.keys(encoded)[0],
  );
  assert.deepEqual([...new Set(shapes)].sort(), ["joined", "list", "pieces", "text", "values"]);
});
