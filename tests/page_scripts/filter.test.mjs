import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { parseFilter, alternatives, saidOf, meets } = load(
  ["filter.js", "filter-columns.js"],
  ["parseFilter", "alternatives", "saidOf", "meets"],
);
const terms = {
  roles: ["Q", "K", "M1", "M2"],
  stacks: ["encoder", "decoder"],
  rules: ["untrained"],
  severities: [
    { name: "error", plural: "errors" },
    { name: "warning", plural: "warnings" },
  ],
  columns: Object.fromEntries(
    [
      ...["layer", "expert", "stable_rank", "stable_rank_lower", "rank_share", "frobenius_norm", "spectral_norm"],
      ...["norm_ratio", "max_abs", "zeros", "findings", "role", "stack", "dtype"],
    ].map((name) => [name, !["role", "stack", "dtype"].includes(name)]),
  ),
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
    found: () => (layer === 13 && role === "M1" ? ["untrained", "warning"] : layer === 0 ? ["nonfinite", "error"] : []),
    number: (column) => numbers[column] ?? 0,
    text: (column) => (column === "dtype" ? (role === "K" ? "BF16" : "F32") : column === "role" ? role : stack),
  };
}

/** The rows that are left, in words. */
function left(typed) {
  const { conditions, problems } = parseFilter(typed, terms);
  assert.deepEqual([...problems], [], typed);
  return rows
    .filter((one) => alternatives(conditions).every((some) => some.some((condition) => meets(condition, one))))
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
  assert.equal(left("stable_rank>0 Q").length, 6);
  assert.equal(left("stable_rank!=0 Q").length, 6);
  assert.deepEqual(left("max>0"), []);
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
    ["stble_rank>1", "No column is called stble_rank; the nearest are stable_rank, "],
    ["nor>1", "No column is called nor; the nearest are frobenius_norm, spectral_norm, norm_ratio."],
    ["stable>1", "stable may be any of stable_rank, stable_rank_lower: write which."],
    ["stable_rank<1,5", "stable_rank is a number: write 1.5, not 1,5."],
    ["zeros>1,00,000", "zeros is a number, and 1,00,000 is none."],
    ["zeros>,", "zeros is a number, and a comma is none."],
  ]) {
    const { problems } = parseFilter(typed, terms);
    assert.equal(problems.length, 1, typed);
    assert.ok(problems[0].startsWith(told), problems[0]);
  }
});

test("what was understood is said", () => {
  const { conditions } = parseFilter("layer 3 m1 L5 stable_rank<5 M2 q_proj", terms);
  assert.equal(saidOf(conditions), "layer 3 or layer 5, role M1 or role M2, stable_rank < 5, “q_proj” in a name");
  assert.equal(saidOf([]), "");
});

test("short names of columns stand for one, and no column that only begins alike", () => {
  for (const [typed, said] of [
    ["rank<7", "stable_rank < 7"],
    ["norm>20", "frobenius_norm > 20"],
    ["rank_share<1", "rank_share < 1"],
    ["frobenius>1", "frobenius_norm > 1"],
    ["zeros≥1,000,000.5", "zeros >= 1,000,000.5"],
    ["zeros<5, findings>0", "zeros < 5, findings > 0"],
  ])
    assert.equal(saidOf(parseFilter(typed, terms).conditions), said);
  assert.deepEqual(
    [...parseFilter("zeros>1,000", terms).conditions].map(({ limit }) => limit),
    [1000],
  );
});

test("of one kind a row meets any, of several kinds each", () => {
  for (const typed of ["decoder 0 M1 M2", "M1, M2 decoder L0", "M1,M2 layer 0 stack=decoder", "role=m1,M2 decoder 0"])
    assert.deepEqual(left(typed), ["decoder 0 M1", "decoder 0 M2"], typed);
  for (const typed of [
    "layer 0, 13 Q decoder",
    "layer 0 layer 13 Q decoder",
    "L0, L13 Q decoder",
    "layer=0 13 Q decoder",
  ])
    assert.deepEqual(left(typed), ["decoder 0 Q", "decoder 13 Q"], typed);
  assert.deepEqual(left("expert 7, 17 decoder"), ["decoder 3 7 M1", "decoder 3 17 M1"]);
  assert.equal(left("encoder decoder 0").length, 8);
});

test("roles and stacks are columns too, and signs are written as people write them", () => {
  assert.deepEqual(left("role=k decoder 0"), ["decoder 0 K"]);
  assert.deepEqual(left("role == K stack==decoder layer==0"), ["decoder 0 K"]);
  assert.deepEqual(left("role≠K stack=decoder layer≤0"), ["decoder 0 Q", "decoder 0 M1", "decoder 0 M2"]);
  assert.equal(left("role=nothing").length, 0);
});

test("a rule or a severity is asked for by its name", () => {
  assert.deepEqual(left("untrained decoder"), ["decoder 13 M1"]);
  assert.deepEqual(left("Errors decoder Q"), ["decoder 0 Q"]);
  assert.deepEqual(left("error untrained decoder M1"), ["decoder 0 M1", "decoder 13 M1"]);
});
