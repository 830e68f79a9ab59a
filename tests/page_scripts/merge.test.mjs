import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load } from "./load.mjs";

const { merges } = fixture();
const pages = merges.map((one) => ({
  ...one,
  page: load(["data.js", "text.js", "elements.js", "effects.js"], ["effectOf", "standingOf", "only"], one.data),
}));

/** What six digits of each inner product leave open, of numbers of the order of 1. */
const ROUNDED = 3e-5;

/**
 * Equal, but for the digits that the page leaves out; null is a number that is not known.
 * @param {number} found
 * @param {number | null} expected
 */
function near(found, expected) {
  if (expected === null) assert.ok(Number.isNaN(found));
  else assert.ok(Math.abs(found - expected) <= 2e-3 * Math.max(1, Math.abs(expected)), `${found} for ${expected}`);
}

test("what a merge does to a matrix is what Python says, at any weights", () => {
  for (const { page, data, told } of pages) {
    assert.ok(told.length > 5);
    for (const { weights, effects } of told) {
      data.meetings.forEach((meeting, i) => {
        const found = page.effectOf(meeting, 0, weights);
        const expected = effects[i];
        assert.equal(Number.isNaN(found.retention), expected.retention === null);
        if (expected.retention === null) return;
        assert.ok(Math.abs(found.retention - expected.retention) < ROUNDED);
        assert.ok(Math.abs(found.chance - expected.chance) < ROUNDED);
        // Of squares, whose difference it is: its root has fewer digits where it is next to nothing.
        assert.ok(Math.abs(found.contamination ** 2 - expected.contamination ** 2) < ROUNDED);
      });
    }
  }
});

test("so are the models' numbers", () => {
  for (const { page, data, told } of pages) {
    for (const { weights, standings } of told) {
      standings.forEach((expected, a) => {
        const found = page.standingOf(data.meetings, a, weights);
        for (const name of ["retention", "contamination", "chance", "disturbance", "first_layer", "matrices"]) {
          near(found[name], expected[name]);
        }
      });
    }
  }
});

test("some weights alone", () => {
  const { only } = pages[0].page;
  assert.deepEqual([...only([0.5, 0.25, 1], [0, 2])], [0.5, 0, 1]);
});
