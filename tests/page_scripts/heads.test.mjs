import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

/** Two maps: a decoder of three layers with groups of two heads, one without a number, and its cross-attention. */
const maps = [
  {
    stack: "decoder",
    attention: "self",
    layers: [0, 1, 4],
    shares: [2, 2, 1],
    numbers: {
      logit: [
        [1, 2, 3, 4],
        [5, null, 7, 8],
        [0.5, 20],
      ],
    },
  },
  { stack: "decoder", attention: "cross", layers: [0], shares: [1], numbers: { logit: [[2, 3]] } },
];
const heads = { choices: [{ name: "logit", label: "Map to logits" }], maps };
const page = load(
  ["data.js", "text.js", "decoding.js", "addresses.js", "drawing.js", "heads.js"],
  ["headRange", "headHover", "headAddress", "headCells", "headWords", "headMapWords", "UNKNOWN"],
  { heads, anchors: [], cells: {}, roles: [], columns: [] },
);

test("one range for all maps, of what is known", () => {
  assert.deepEqual({ ...page.headRange(heads, "logit") }, { low: 0.5, high: 20 });
  const none = { ...heads, maps: [{ ...maps[0], numbers: { logit: [[null], [0], [null]] } }] };
  assert.equal(page.headRange(none, "logit"), null);
});

test("a head is a line and a layer a column; what a layer has not is empty", () => {
  const cells = page.headCells(maps[0], (at, head) => maps[0].numbers.logit[at][head]);
  assert.deepEqual(
    [...cells].map((line) => [...line]),
    [
      [1, 5, 0.5],
      [2, null, 20],
      [3, 7, null],
      [4, 8, null],
    ],
  );
});

test("hovering says which head it is, whose keys it reads, and every number", () => {
  assert.equal(
    page.headHover(heads, maps[0], 1, 3),
    "<b>decoder layer 1 head 3</b>, K and V of head 1<br>Map to logits: 8.000",
  );
  assert.ok(page.headHover(heads, maps[0], 1, 1).endsWith(`Map to logits: ${page.UNKNOWN}`));
  assert.doesNotMatch(page.headHover(heads, maps[0], 2, 1), /K and V/);
});

test("a cell leads to the queries of its layer in the table", () => {
  assert.equal(page.headAddress(maps[0], 4), "#filter=decoder+layer+4&role=Q");
  assert.equal(page.headAddress(maps[1], 0), "#filter=decoder+layer+0&role=XQ");
});

test("a screen reader hears the range and which head is the largest", () => {
  assert.equal(
    page.headWords(maps[0], "logit", "Map to logits"),
    "decoder: Map to logits of each head by layer, as colours: from 0.5000 to 20.00, which is head 1 of layer 4. " +
      "The JSON report has every number.",
  );
  assert.equal(page.headMapWords(maps[1]), "decoder, attention to the encoder");
});
