// @ts-check
// What a random matrix and a power law would have beside the eigenvalues of one matrix, and what is to be said of both.

/**
 * The Marchenko–Pastur density of λ, which the edges of the singular values determine, of the share of `count` eigenvalues
 * that are no spikes.
 * @param {Bulk} bulk
 * @param {number} count
 * @param {number} x
 * @returns {number}
 */
function randomDensity({ lower, upper, spikes }, count, x) {
  const [low, high] = [lower ** 2, upper ** 2];
  if (x <= low || x >= high) return 0;
  return ((1 - spikes / count) * 2 * Math.sqrt((high - x) * (x - low))) / (Math.PI * (upper - lower) ** 2 * x);
}

/**
 * The density of the fitted power law, as high as its tail's share of `count` eigenvalues.
 * @param {Tail} tail
 * @param {number} count
 * @param {number} x
 * @returns {number}
 */
const tailDensity = (tail, count, x) =>
  ((tail.count / count) * (tail.alpha - 1) * (x / tail.x_min) ** -tail.alpha) / tail.x_min;

/**
 * A probability, never shown as 0.
 * @param {number | null} p
 * @returns {string}
 */
function probabilityWords(p) {
  if (p === null) return "unknown";
  return p < 0.001 ? "below 0.001" : digitsOf(p, 2, "nearest", false);
}

/** @param {number | null} p */
const equalTo = (p) => (p !== null && p < 0.001 ? "p\u00a0<\u00a00.001" : `p\u00a0=\u00a0${probabilityWords(p)}`);

/**
 * @param {string} name
 * @param {Alternative} alternative
 * @returns {string}
 */
function alternativeWords(name, [ratio, p]) {
  if (ratio === null || p === null) return `${name} could not be compared`;
  const shown = digitsOf(ratio, 3).replace("-", "−");
  return `${name} is ${ratio < 0 ? "likelier" : "less likely"} (log-likelihood ratio ${shown}, ${equalTo(p)})`;
}

/**
 * α with its interval.
 * @param {Tail} tail
 * @returns {string}
 */
function alphaWords({ alpha, alpha_lower, alpha_upper, level }) {
  const ends = [alpha_lower, alpha_upper].map((end) => (end === null ? "∞" : digitsOf(end, 3)));
  return `α = ${digitsOf(alpha, 3)} (${digitsOf(100 * level, 4, "nearest", false)} % interval ${ends.join(" to ")})`;
}

/**
 * Whether a power law fits, which, and what else would.
 * @param {Tail | null} tail
 * @returns {string}
 */
function tailWords(tail) {
  if (!tail) return "No power law was fitted: there are too few eigenvalues that differ.";
  const range = `${grouped(tail.count)} eigenvalues from ${digitsOf(tail.x_min ?? NaN, 3)} to ${digitsOf(tail.x_max ?? NaN, 3)}`;
  const others = [
    alternativeWords("a log-normal", tail.lognormal),
    alternativeWords("an exponential", tail.exponential),
  ];
  const law = tail.fits
    ? `Power law: ${alphaWords(tail)} of the ${range}; it is not rejected (${equalTo(tail.p_value)})`
    : `No power law: the best, ${alphaWords(tail)} of the ${range}, does not fit (${equalTo(tail.p_value)})`;
  return `${law}. Beside it ${others.join(", ")}. Hill’s α of the largest half: ${digitsOf(tail.hill_alpha ?? NaN, 3)}.`;
}

/**
 * How many spikes stand out of what random matrices have.
 * @param {FullMatrix} full
 * @returns {string}
 */
function bulkWords({ bulk, count }) {
  if (!bulk) return "There is no random matrix to compare with.";
  const [edge, threshold] = [bulk.upper, bulk.threshold].map((sigma) => digitsOf(sigma ** 2, 4));
  return (
    `${grouped(bulk.spikes)} of ${grouped(count)} eigenvalues are spikes: above ${threshold}, where the largest of a ` +
    `random matrix lies with probability ${probabilityWords(bulk.level)} (Tracy–Widom; the Marchenko–Pastur edge is ` +
    `${edge}).` +
    (bulk.shuffledSpikes === null
      ? ""
      : ` Of those of the shuffled entries, which keep the whole norm, ${grouped(bulk.shuffledSpikes)} lie there.`)
  );
}
