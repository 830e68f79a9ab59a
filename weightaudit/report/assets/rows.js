// @ts-check
// The scan's rows: its columns of text once more as objects and numbers, for plotting and sorting.
const columns = Object.fromEntries([...data.columns, ...data.derived].map((column) => [column.name, column]));
const roleIndex = new Map(data.roles.map((style, i) => [style.role, i]));

/** @param {string} role */
const styleOfRole = (role) => data.roles[present(roleIndex.get(role))];

const cells = decodedTable(data.cells);
/** @type {Record<string, Float64Array>} */
const numbers = {};

/**
 * @param {number} i
 * @param {string} name
 */
const text = (i, name) => cells[name](i);

/**
 * @param {number} i
 * @param {string} name
 * @returns {number}
 */
function number(i, name) {
  if (!numbers[name]) {
    numbers[name] = Float64Array.from({ length: data.count }, (_, j) => {
      const said = cells[name](j);
      return said === "" ? NaN : Number(said.replace("inf", "Infinity"));
    });
  }
  return numbers[name][i];
}

/** @type {Row[]} */
const rows = Array.from({ length: data.count }, (_, i) => ({
  i,
  stack: text(i, "stack"),
  layer: number(i, "layer"),
  expert: text(i, "expert"),
  role: text(i, "role"),
  full: Math.min(number(i, "rows"), number(i, "cols")),
}));

/**
 * @param {Row} row
 * @returns {string}
 */
const placeWords = (row) =>
  [
    row.stack,
    Number.isNaN(row.layer) ? "" : "layer " + row.layer,
    row.expert && "expert " + row.expert,
    row.role,
    row.role === "OTHER" ? text(row.i, "tensors") : "", // a matrix of no known role is known by its tensor
  ]
    .filter(Boolean)
    .map((part) => printable(part))
    .join(data.constants.between);
