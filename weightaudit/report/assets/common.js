// Data, elements, numbers and text: what all pages, plots and tables share.
const data = JSON.parse(document.getElementById("data").textContent);

// Names come from the checkpoint: what is no printable character is shown as an escape.
function printable(name, limit = 300) {
  const safe = name.replace(/[\p{C}\p{Z}]/gu, (c) => {
    if (c === " ") return c;
    const code = c.codePointAt(0);
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    if (code < 0x10000) return "\\u" + code.toString(16).padStart(4, "0");
    return "\\U" + code.toString(16).padStart(8, "0");
  });
  return safe.length > limit ? safe.slice(0, limit - 1) + "…" : safe;
}

// Plotly reads a little HTML in its texts.
function plotText(name) {
  return printable(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// `x` with `digits` significant digits, zeros kept unless told; "down" and "up" never cross the number itself.
function digitsOf(x, digits, rounding = "nearest", zeros = true) {
  if (Number.isNaN(x)) return "—";
  if (!Number.isFinite(x) || x === 0) return String(x);
  let shown = x.toPrecision(digits);
  const half = 10 ** (Math.floor(Math.log10(Math.abs(x))) - digits + 1) / 2;
  if (rounding === "down" && Number(shown) > x) shown = (x - half).toPrecision(digits);
  if (rounding === "up" && Number(shown) < x) shown = (x + half).toPrecision(digits);
  const exponent = Math.floor(Math.log10(Math.abs(x)));
  if (exponent < -4 || exponent >= 9) return Number(shown).toExponential(zeros ? digits - 1 : undefined);
  return zeros && exponent < digits ? shown : String(Number(shown));
}

const THOUSANDS = new Intl.NumberFormat("en-US");
const grouped = (n) => THOUSANDS.format(Number(n));

// Not Math.min(...all): a call takes some 100,000 arguments, and a model may have more matrices.
const least = (all) => all.reduce((a, b) => Math.min(a, b));
const most = (all) => all.reduce((a, b) => Math.max(a, b));

function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// An element; strings become text nodes, never markup.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, given] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), given);
    else node.setAttribute(name, given);
  }
  node.append(...children);
  return node;
}
