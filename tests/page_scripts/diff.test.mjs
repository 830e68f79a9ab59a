import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load } from "./load.mjs";

const { differences } = fixture();
const FILES = ["data.js", "text.js", "elements.js", "decoding.js", "rows.js", "layers.js", "drawing.js"];
const NAMES = ["csvText", "rows", "number", "relativeWords", "did", "nameOf", "atFloor", "heatCell", "inkOn"];
const COLOURS = ["colourRange", "heatWords"];
const pages = differences.map((one) => ({
  ...one,
  page: load([...FILES, "changes.js", "csv.js"], [...NAMES, ...COLOURS], one.data),
}));

test("the page's CSV is the CSV of the difference", () => {
  for (const { page, csv } of pages) assert.equal(page.csvText(), csv);
});

test("rows are told as Python tells them", () => {
  for (const { page, rows } of pages) {
    assert.equal(page.rows.length, rows.length);
    page.rows.forEach((row, i) => {
      const { relative, did, floor, name } = rows[i];
      assert.equal(page.relativeWords(page.number(i, "relative")), relative);
      assert.equal(page.did(i), did);
      assert.equal(page.atFloor(i), floor);
      // A spreadsheet's guard stands before what it would run.
      if (!name.includes("=HYPERLINK") && name !== "") assert.equal(page.nameOf(row), name);
    });
  }
});

test("a cell of several experts shows their median and the kind of most", () => {
  const [{ page }] = pages;
  const changed = page.rows.filter((row) => page.number(row.i, "relative") > 0 && row.role === "Q").slice(0, 3);
  const sizes = changed.map((row) => page.number(row.i, "relative")).sort((a, b) => a - b);
  assert.equal(page.heatCell(changed).y, sizes[1]);
  const unchanged = page.rows.filter((row) => row.role === "K");
  assert.equal(page.heatCell(unchanged).y, null);
  assert.notEqual(page.heatCell(unchanged).kind, page.heatCell(changed).kind);
  assert.equal(page.heatCell([...unchanged.slice(0, 1), ...changed]).kind, page.heatCell(changed).kind);
});

test("ink that can be read on a colour", () => {
  const [{ page }] = pages;
  assert.equal(page.inkOn("#000000"), "#ffffff");
  assert.equal(page.inkOn("#e6f58a"), "#000000");
});

test("numbers that are nearly equal have nearly the same colour", () => {
  const [{ page }] = pages;
  const [first, last] = page.colourRange(0.0099, 0.0101);
  assert.ok((Math.log10(0.0101) - Math.log10(0.0099)) / (last - first) < 0.02);
  assert.ok(Math.abs((first + last) / 2 + 2) < 1e-4);
  assert.deepEqual([...page.colourRange(0.001, 0.1)], [-3, -1]);
});

test("cells tell shares as the tables do", () => {
  const [{ page }] = pages;
  assert.equal(page.heatWords(0.01234), "1.2 %");
});
