import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { parseFilter, meets } = load(["filter.js"], ["parseFilter", "meets"]);
const terms = {
  roles: ["Q", "K", "M1", "M2"],
  stacks: ["encoder", "decoder"],
  columns: { layer: true, stable_rank: true, stable_rank_lower: true, zeros: true, findings: true, dtype: false },
};

/** Rows of two stacks, four layers, and in layer 3 three experts of M1. */
const rows = ["encoder", "decoder"].flatMap((stack) =>
  [0, 1, 3, 13].flatMap((layer) =>
    ["Q", "K", "M1", "M2"].flatMap((role) =>
      (layer === 3 && role === "M1" ? [0, 7, 17] : [NaN]).map((expert) => row(stack, layer, expert, role)),
    ),
  ),
);
rows.push(row("", NaN, NaN, "EMBED"));

function row(stack, layer, expert, role) {
  const name = `${stack}.h.${layer}.experts.${expert}.${role.toLowerCase()}.weight float32`;
  const numbers = {
    layer,
    stable_rank: layer === 1 ? NaN : 4 + layer,
    stable_rank_lower: 1,
    zeros: layer === 13 ? 5 : 0,
  };
  return {
    stack,
    layer,
    expert,
    role,
    names: () => name,
    number: (column) => numbers[column] ?? 0,
    text: () => (role === "K" ? "BF16" : "F32"),
  };
}

/** The rows that are left, in words. */
function left(typed) {
  const { conditions, problems } = parseFilter(typed, terms);
  assert.deepEqual([...problems], [], typed);
  return rows
    .filter((one) => conditions.every((condition) => meets(condition, one)))
    .map(({ stack, layer, expert, role }) =>
      [stack, layer, expert, role].filter((part) => part !== "" && !Number.isNaN(part)).join(" "),
    );
}

test("nothing typed leaves every row", () => {
  assert.equal(left("").length, rows.length);
  assert.equal(left("   ").length, rows.length);
});

test("a layer is its number, not every 3 in a name", () => {
  for (const typed of ["layer 3", "layer3", "Layers 3", "layer:3", "layer=3", "3"]) {
    assert.ok(left(typed).length === 12, typed);
    assert.ok(
      left(typed).every((words) => words.split(" ")[1] === "3"),
      typed,
    );
  }
});

test("words are joined by and, in any order", () => {
  assert.deepEqual(left("decoder layer 3 Q"), ["decoder 3 Q"]);
  for (const typed of ["3 m1 decoder expert 7", "M1 expert7 layer 3 decoder", "decoder 3 experts 7"])
    assert.deepEqual(left(typed), ["decoder 3 7 M1"], typed);
});

test("sets of numbers as the command line writes them", () => {
  assert.deepEqual([...new Set(left("layer 0-1,13 Q decoder"))], ["decoder 0 Q", "decoder 1 Q", "decoder 13 Q"]);
  assert.deepEqual(left("expert 5-20 decoder"), ["decoder 3 7 M1", "decoder 3 17 M1"]);
});

test("a word that waits for its number asks for any", () => {
  assert.equal(left("layer").length, rows.length - 1);
  assert.equal(left("expert").length, 6);
  assert.equal(left("expert M1").length, 6);
});

test("comparisons, of the column that the name begins; what is unknown meets none", () => {
  assert.ok(left("stable_rank<5").every((words) => ` ${words} `.includes(" 0 ")));
  assert.deepEqual(left("stable-rank <= 4 Q decoder"), ["decoder 0 Q"]);
  assert.equal(left("stable>0 Q").length, 6);
  assert.equal(left("stable!=0 Q").length, 6);
  assert.deepEqual(left("zeros>0 decoder M2"), ["decoder 13 M2"]);
  assert.deepEqual(left("zeros >0 zeros< 1e3 decoder M2"), ["decoder 13 M2"]);
  assert.equal(left("findings>=1").length, 0);
});

test("columns of text are equal or not", () => {
  assert.ok(left("dtype=bf16").every((words) => words.endsWith("K")));
  assert.ok(left("dtype!=bf16 layer 0").every((words) => !words.endsWith("K")));
});

test("anything else is a part of a name, and so is what is quoted", () => {
  assert.equal(left("h.13.").length, 8);
  assert.equal(left('"experts.7" decoder').length, 1);
  assert.equal(left('"weight float32"').length, rows.length);
  assert.equal(left('"q').length, 8);
});

test("what cannot be asked is told", () => {
  for (const [typed, told] of [
    ["nothing<5", "No column is called nothing"],
    ["zeros<many", "zeros is a number"],
    ["dtype<f", "dtype is text"],
    ["constructor>1", "No column is called constructor"],
  ]) {
    const { problems } = parseFilter(typed, terms);
    assert.equal(problems.length, 1, typed);
    assert.ok(problems[0].startsWith(told), problems[0]);
  }
});

test("what was understood is said", () => {
  const { conditions } = parseFilter("layer 3 m1 stable_rank<5 q_proj", terms);
  assert.deepEqual(
    Array.from(conditions, ({ said }) => said),
    ["layer 3", "role M1", "stable_rank < 5", "“q_proj” in a name"],
  );
});
