// @ts-check
// What a merge does to each model, from the inner products that the page has: as records/interactions.py computes it.

/** @param {number | null} x */
const known = (x) => x ?? NaN;

/** @param {number} square */
const root = (square) => Math.sqrt(Math.max(square, 0));

/**
 * Σ w_i m_ij v_j.
 * @param {number[]} w
 * @param {(number | null)[][]} m
 * @param {number[]} v
 */
function form(w, m, v) {
  let sum = 0;
  for (let i = 0; i < w.length; i++) {
    for (let j = 0; j < v.length; j++) if (w[i] && v[j]) sum += w[i] * known(m[i][j]) * v[j];
  }
  return sum;
}

/**
 * What the merged update Σ weights_i Δ_i does to one matrix of model `a`.
 * @param {Meeting} meeting
 * @param {number} a
 * @param {number[]} weights of all updates
 * @returns {Effect}
 */
function effectOf(meeting, a, weights) {
  const products = meeting.on_inputs[a];
  const retention = weights.reduce((sum, w, i) => (w ? sum + w * known(products[i][a]) : sum), 0);
  const contamination = root(form(weights, products, weights) - retention ** 2);
  const judged = weights.slice(meeting.on_inputs.length).some(Boolean);
  const others = weights.map((w, i) => (i === a ? (judged ? -retention : 0) : w));
  const size = known(meeting.inner[a][a]);
  const chance = root((form(others, meeting.inner, others) * known(meeting.participation[a])) / (size * meeting.cols));
  return {
    retention,
    contamination,
    chance,
    disturbance: Math.hypot(retention - 1, contamination),
    lift: chance ? contamination / chance : NaN,
  };
}

/**
 * @param {Meeting} meeting
 * @param {number} a
 */
const changedBy = (meeting, a) => known(meeting.inner[a][a]) > 0;

/** @param {number[]} values */
const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : NaN);

/**
 * How model `a` fares: means over the matrices that it changed.
 * @param {Meeting[]} meetings
 * @param {number} a
 * @param {number[]} weights
 * @returns {Standing}
 */
function standingOf(meetings, a, weights) {
  const changed = meetings.filter((meeting) => changedBy(meeting, a));
  const effects = changed.map((meeting) => effectOf(meeting, a, weights));
  const layers = changed.flatMap(({ place }) => (place.layer === null ? [] : [place.layer]));
  const first = layers.length ? least(layers) : NaN;
  const contamination = mean(effects.map((effect) => effect.contamination));
  const chance = mean(effects.map((effect) => effect.chance));
  return {
    retention: mean(effects.map((effect) => effect.retention)),
    contamination,
    chance,
    disturbance: mean(effects.map((effect) => effect.disturbance)),
    lift: chance ? contamination / chance : NaN,
    first_layer: mean(effects.filter((_, i) => changed[i].place.layer === first).map((effect) => effect.disturbance)),
    matrices: changed.length,
  };
}

/**
 * `weights` of these updates alone, 0 of all others.
 * @param {number[]} weights
 * @param {number[]} which
 */
const only = (weights, which) => weights.map((w, i) => (which.includes(i) ? w : 0));
