// @ts-check
// Comparisons of a filter: which column is meant, and what it is compared with.

/** What the columns are called for short. */
const COLUMN_ALIASES = new Map([
  ["rank", "stable_rank"],
  ["norm", "frobenius_norm"],
]);
const SIGNS = new Map([
  ["==", "="],
  ["≤", "<="],
  ["≥", ">="],
  ["≠", "!="],
]);
/** Columns that a refusal names. */
const NEAREST = 3;
const IN_THOUSANDS = /^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/;

/**
 * The column that is called `name`, or for which that stands: a part from its beginning, up to a `_`, where no other
 * column has it too. Else why there is none.
 * @param {string} name
 * @param {string[]} columns
 * @returns {{ column: string } | { problem: string }}
 */
function columnCalled(name, columns) {
  const wanted = name.toLowerCase().replaceAll("-", "_");
  const exact = columns.find((one) => one === wanted) ?? columns.find((one) => one === COLUMN_ALIASES.get(wanted));
  if (exact !== undefined) return { column: exact };
  const begun = columns.filter((one) => one.startsWith(wanted) && (wanted.endsWith("_") || one[wanted.length] === "_"));
  if (begun.length === 1) return { column: begun[0] };
  if (begun.length) return { problem: `${name} may be any of ${begun.join(", ")}: write which.` };
  return { problem: `No column is called ${name}; the nearest are ${nearest(wanted, columns).join(", ")}.` };
}

/**
 * Those of `names` that are most like `wanted`: with it in them, or fewest letters away.
 * @param {string} wanted
 * @param {string[]} names
 */
const nearest = (wanted, names) =>
  names
    .map((name) => ({ name, far: name.includes(wanted) ? 0 : lettersApart(wanted, name) }))
    .sort((a, b) => a.far - b.far)
    .slice(0, NEAREST)
    .map(({ name }) => name);

/**
 * Letters to add, drop or change to make one word of the other (Levenshtein's distance).
 * @param {string} a
 * @param {string} b
 */
function lettersApart(a, b) {
  let line = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++)
      next.push(Math.min(next[j] + 1, line[j + 1] + 1, line[j] + Number(letter !== b[j])));
    line = next;
  }
  return line[b.length];
}

/**
 * `typed` as a number that `column` is compared with, or why it is none. A comma stands only between thousands: what
 * 1,5 is depends on who reads it.
 * @param {string} typed
 * @param {string} column
 * @returns {number | string}
 */
function limitOf(typed, column) {
  if (/^[+-]?(inf|infinity|∞)$/i.test(typed)) return typed.startsWith("-") ? -Infinity : Infinity;
  if (/^[+-]?\d+,\d+$/.test(typed) && !IN_THOUSANDS.test(typed))
    return `${column} is a number: write ${typed.replace(",", ".")}, not ${typed}.`;
  const number = Number(IN_THOUSANDS.test(typed) ? typed.replaceAll(",", "") : typed || "none");
  return Number.isNaN(number) ? `${column} is a number, and ${typed || "a comma"} is none.` : number;
}

/**
 * The conditions that a column compared with `typed` makes, or why it makes none.
 * @param {string} name
 * @param {string} sign
 * @param {string} typed
 * @param {FilterTerms} terms
 * @returns {Condition[] | string}
 */
function comparison(name, sign, typed, terms) {
  const found = columnCalled(name, Object.keys(terms.columns));
  if ("problem" in found) return found.problem;
  const { column } = found;
  const limit = typed.replace(/,+$/, "");
  if (terms.columns[column]) {
    if ((column === "layer" || column === "expert") && sign === "=" && NUMBER_SET.test(limit))
      return [numberCondition(column, limit)];
    const number = limitOf(limit, column);
    if (typeof number === "string") return number;
    return [{ kind: "number", column, sign, limit: number, said: `${column} ${sign} ${limit}` }];
  }
  if (sign !== "=" && sign !== "!=") return `${column} is text: ask ${column}=… or ${column}!=… of it.`;
  if ((column === "role" || column === "stack") && sign === "=") {
    const places = limit.split(",").map((one) => placeCondition(one, column, terms));
    if (places.every((one) => one !== null)) return places;
  }
  return [{ kind: "text", column, sign, is: limit.toLowerCase(), said: `${column} ${sign} ${limit}` }];
}
