// @ts-check
// Numbers and names as text: no page is needed for these.
const UNKNOWN = "—";
/** @type {Record<string, string>} */
const ESCAPES = { " ": " ", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/**
 * Names come from the checkpoint: what is no printable character is shown as an escape.
 * @param {string} name
 * @param {number} [limit]
 * @returns {string}
 */
function printable(name, limit = 300) {
  const safe = name.replace(/[\p{C}\p{Z}]/gu, (c) => {
    if (c in ESCAPES) return ESCAPES[c];
    const code = /** @type {number} */ (c.codePointAt(0));
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    if (code < 0x10000) return "\\u" + code.toString(16).padStart(4, "0");
    return "\\U" + code.toString(16).padStart(8, "0");
  });
  if (safe.length <= limit) return safe;
  const characters = [...safe];
  return characters.length > limit ? characters.slice(0, limit - 1).join("") + "…" : safe;
}

/**
 * Plotly reads a little HTML in its texts.
 * @param {string} name
 * @returns {string}
 */
function plotText(name) {
  return printable(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/**
 * `x` with `digits` significant digits, zeros kept unless told; "down" and "up" never cross the number itself.
 * @param {number} x
 * @param {number} digits
 * @param {Rounding} [rounding]
 * @param {boolean} [zeros]
 * @returns {string}
 */
function digitsOf(x, digits, rounding = "nearest", zeros = true) {
  if (Number.isNaN(x)) return UNKNOWN;
  if (!Number.isFinite(x) || x === 0) return String(x);
  let shown = x.toPrecision(digits);
  const half = 10 ** (Math.floor(Math.log10(Math.abs(x))) - digits + 1) / 2;
  if (rounding === "down" && Number(shown) > x) shown = (x - half).toPrecision(digits);
  if (rounding === "up" && Number(shown) < x) shown = (x + half).toPrecision(digits);
  // Of what is shown: 999.9 may be shown as 1000.
  const exponent = Number(Number(shown).toExponential().split("e")[1]);
  if (exponent < -4 || exponent >= 9) return Number(shown).toExponential(zeros ? digits - 1 : undefined);
  return zeros && exponent < digits ? shown : String(Number(shown));
}

const THOUSANDS = new Intl.NumberFormat("en-US");
/** @param {number | string} n */
const grouped = (n) => THOUSANDS.format(Number(n));

/**
 * Not Math.min(...all): a call takes some 100,000 arguments, and a model may have more matrices.
 * @param {number[]} all
 */
const least = (all) => all.reduce((a, b) => Math.min(a, b));
/** @param {number[]} all */
const most = (all) => all.reduce((a, b) => Math.max(a, b));

/**
 * A whole number in thousands, millions and so on, with three digits.
 * @param {number} n
 * @param {string[]} units
 * @returns {string}
 */
function magnitude(n, units) {
  let step = 0;
  for (; n >= 999.5 && step < units.length - 1; step++) n /= 1000;
  const digits = step ? Math.max(0, 2 - Number(n >= 10) - Number(n >= 100)) : 0;
  return n.toFixed(digits) + units[step];
}

/** @param {number[]} sorted */
function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * What is there, whatever its type says.
 * @template T
 * @param {T | null | undefined} thing
 * @returns {T}
 */
function present(thing) {
  if (thing === null || thing === undefined) throw new Error("something that the page counts on is missing");
  return thing;
}
