import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load } from "./load.mjs";

const { report } = fixture();
const BEFORE = ["data.js", "text.js", "elements.js", "decoding.js", "rows.js", "derived.js"];
const names = ["csvText", "rows", "placeWords", "commandFor", "findingsOn", "severityOf", "findGroups", "groupedLines"];
const page = load(
  [...BEFORE, "experts.js", "marks.js", "details.js", "csv.js", "tables.js"],
  [...names, "groupOf", "shared", "value", "styleOfRole"],
  report.data,
);
const { roomForWords } = load([...BEFORE, "marks.js", "chart-marks.js"], ["roomForWords"], report.data);
const { leastSpan, logTicks, tickTexts } = load(
  ["data.js", "text.js", "elements.js", "drawing.js"],
  ["leastSpan", "logTicks", "tickTexts"],
  report.data,
);

test("the page's CSV is the CSV", () => assert.equal(page.csvText(), report.csv));

test("rows have the places and commands that Python gives them", () => {
  assert.equal(page.rows.length, report.rows.length);
  page.rows.forEach((row, i) => {
    assert.equal(page.placeWords(row), report.rows[i].place);
    assert.equal(page.commandFor(row), report.rows[i].command);
  });
});

test("findings lie on the rows that Python says, the most severe first", () => {
  report.rows.forEach(({ findings }, i) => {
    const groups = page.findingsOn(i).map((at) => report.data.findings.group[at]);
    assert.deepEqual([...groups], findings);
    if (groups.length) assert.equal(page.severityOf(i), report.data.findings.groups[Math.min(...groups)].severity);
  });
});

test("a layer's experts of one role are one line", () => {
  page.findGroups();
  const lines = page.groupedLines(page.rows.map((row) => row.i));
  assert.equal(lines.length, report.lines);
});

test("what names share", () => {
  assert.deepEqual([...page.shared(["h.1.w", "h.22.w"])], ["h.", ".w"]);
  assert.deepEqual([...page.shared(["aa", "aaa"])], ["aa", ""]);
});

test("words beside crosses do not lie over each other", () => {
  assert.ok(roomForWords([23], 40, 4));
  assert.ok(roomForWords([10, 31], 40, 4));
  assert.ok(!roomForWords([10, 29], 40, 4));
  assert.ok(!roomForWords([23, 44], 40, 4));
  assert.ok(roomForWords([23, 64], 40, 4));
});

test("ticks of a logarithmic axis are round, within it and at least three", () => {
  for (const [low, high] of [
    [1, 1000],
    [3.1, 3.9],
    [20, 70],
    [0.002, 5],
    [10.8, 10.8],
    [10.8, 12],
    [4.0001, 4.9],
    [999, 1002],
    [0.00031, 0.00032],
  ]) {
    const ticks = logTicks(low, high);
    assert.ok(ticks.length > 2, `${low} to ${high}`);
    const span = leastSpan(low, high);
    assert.ok(ticks.filter((tick) => tick >= span.low && tick <= span.high).length > 2, `${low} to ${high}`);
    assert.ok(ticks.every((tick) => tick >= span.low * 0.97 && tick <= span.high * 1.03));
    assert.equal(new Set(tickTexts(ticks)).size, ticks.length);
    assert.ok(tickTexts(ticks).every((words) => words.length < 8));
  }
});

test("ticks are told apart, in one notation", () => {
  assert.deepEqual([...tickTexts(logTicks(10.8, 12))], ["11", "11.5", "12"]);
  assert.deepEqual([...tickTexts(logTicks(1.001, 1.002))], ["0.96", "0.98", "1", "1.02", "1.04"]);
  assert.deepEqual([...tickTexts([1e-6, 1e-3, 1])], ["1e-6", "1e-3", "1e+0"]);
});
