import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load } from "./load.mjs";

const text = load(
  ["text.js"],
  ["printable", "plotText", "digitsOf", "magnitude", "median", "least", "most", "UNKNOWN"],
);
const given = fixture();

test("names are made harmless as Python makes them", () => {
  for (const { name, shown } of given.names) assert.equal(text.printable(name), shown);
});

test("plotly sees no markup in a name", () => {
  assert.equal(text.plotText("<b>&\u202e"), "&lt;b&gt;&amp;\\u202e");
});

test("numbers are spelt as Python spells them, ends rounded outwards", () => {
  for (const { x, digits, rounding, shown } of given.numbers)
    assert.equal(text.digitsOf(x, digits, rounding), shown, `${x} ${rounding}`);
  assert.equal(text.digitsOf(Number.NaN, 4), given.unknown);
  assert.equal(text.UNKNOWN, given.unknown);
});

test("large counts have Python's units", () => {
  for (const { n, shown } of given.magnitudes) assert.equal(text.magnitude(n, given.units), shown);
});

test("medians and ends of many numbers", () => {
  const many = Array.from({ length: 300_001 }, (_, i) => i);
  assert.deepEqual([text.least(many), text.median(many), text.most(many)], [0, 150_000, 300_000]);
  assert.equal(text.median([1, 2, 4, 9]), 3);
});
