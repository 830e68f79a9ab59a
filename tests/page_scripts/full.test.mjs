import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load } from "./load.mjs";

const { full } = fixture();
const BEFORE = ["data.js", "text.js", "elements.js", "decoding.js", "rows.js", "derived.js", "power-law.js"];
const words = load(BEFORE, ["randomDensity", "tailDensity", "tailWords", "bulkWords", "value", "rows"], full.data);
const { binEdges, densities, steps } = load(
  [...BEFORE, "layers.js", "drawing.js", "scales.js", "eigenvalues.js"],
  ["binEdges", "densities", "steps"],
  full.data,
);
const matrices = full.data.full;

/** The integral of `density` from `low` to `high`. */
function integral(density, low, high, points = 20000) {
  const width = (high - low) / points;
  return Array.from({ length: points }, (_, i) => width * density(low + (i + 0.5) * width)).reduce((a, b) => a + b);
}

test("the random matrix's density is one, and none beyond its edges", () => {
  for (const { bulk, count } of matrices) {
    const [low, high] = [bulk.lower ** 2, bulk.upper ** 2];
    // Over σ, where it is bounded next to 0.
    const whole = integral((sigma) => 2 * sigma * words.randomDensity(bulk, count, sigma ** 2), bulk.lower, bulk.upper);
    assert.ok(Math.abs(whole - 1 + bulk.spikes / count) < 1e-4);
    for (const x of [low / 2, low, high, 2 * high]) assert.equal(words.randomDensity(bulk, count, x), 0);
  }
});

test("densities are Python's", () => {
  full.densities.forEach(({ x, random, tail }, i) => {
    const { bulk, count, tail: law } = matrices[i];
    for (const [mine, theirs] of [
      [words.randomDensity(bulk, count, x), random],
      [words.tailDensity(law, count, x), tail],
    ])
      assert.ok(Math.abs(mine - theirs) <= 1e-3 * theirs);
  });
});

test("the power law has its tail's share", () => {
  const { tail, count } = matrices[0];
  const share = integral((x) => words.tailDensity(tail, count, x), tail.x_min, 1e4 * tail.x_min, 2e6);
  assert.ok(Math.abs(share - tail.count / count) < 1e-2 * share);
});

test("bins have the edges that Python counted in, and hold what is not told to lie beyond", () => {
  matrices.forEach((matrix, i) => {
    for (const kind of ["log", "linear"]) {
      const { counts, below, beyond } = matrix[kind];
      const edges = binEdges(matrix[kind], kind === "log");
      assert.equal(edges.length, full.edges[i][kind].length);
      edges.forEach((edge, at) => {
        assert.ok(Math.abs(edge - full.edges[i][kind][at]) <= 1e-4 * edges.at(-1));
      });
      const area = densities(counts, edges, matrix.count).map((height, at) => height * (edges[at + 1] - edges[at]));
      const inside = area.reduce((a, b) => a + b) * matrix.count;
      assert.ok(Math.abs(inside + below + beyond - matrix.count) < 1e-6 * matrix.count);
    }
  });
});

test("a line of steps is as long as its words", () => {
  const line = steps([1, 2, 3, 4], [5, 0, 7], 0.5, 1, 3);
  assert.deepEqual(
    [[...line.x], [...line.y]],
    [
      [2, 2, 3, 4],
      [0.5, 0.5, 7, 0.5],
    ],
  );
});

test("what does not fit is told plainly", () => {
  for (const { tail } of matrices) {
    const said = words.tailWords(tail);
    assert.equal(said.startsWith("No power law: the best, α = "), !tail.fits);
    assert.equal(said.startsWith("Power law: α = "), tail.fits);
    assert.match(said, /a log-normal is likelier \(log-likelihood ratio −/);
    assert.match(said, /an exponential is less likely \(log-likelihood ratio 2\.40, p\u00a0<\u00a00\.001\)/);
  }
  assert.match(words.tailWords(null), /^No power law was fitted/);
  assert.doesNotMatch(words.tailWords({ ...matrices[0].tail, x_min: null, x_max: null }), /null/);
  const open = { ...matrices[0].tail, alpha_upper: null, exponential: [null, null] };
  assert.match(words.tailWords(open), / to ∞\).*an exponential could not be compared/);
});

test("spikes are counted with what random matrices and the shuffled entries have", () => {
  assert.match(
    words.bulkWords(matrices[0]),
    /^5 of \d+ eigenvalues are spikes: .* probability 0\.01 .* 0 lie there\.$/,
  );
  assert.match(words.bulkWords({ bulk: null, count: 3 }), /no random matrix/);
});

test("charts by layer have the numbers of the tail", () => {
  words.rows.forEach((row, i) => {
    assert.equal(words.value(row, "alpha"), matrices[i]?.tail.alpha ?? NaN);
  });
});
