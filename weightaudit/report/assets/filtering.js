// @ts-check
// What the filter of a scan's table may ask, and what it is told of each row.
/** Columns of text that a comparison may ask for. */
const FILTER_TEXTS = ["dtype", "method", "converged"];

/** @returns {FilterTerms} */
function filterTerms() {
  const numeric = [...data.columns, ...data.derived].filter(
    (column) => column.numeric && !FILTER_TEXTS.includes(column.name),
  );
  return {
    roles: data.roles.map((style) => style.role),
    stacks: [...new Set(rows.map((row) => row.stack))].filter(Boolean),
    columns: Object.fromEntries([
      ...numeric.map(({ name }) => [name, true]),
      ...["rank_share", "findings"].map((name) => [name, true]),
      ...FILTER_TEXTS.map((name) => [name, false]),
    ]),
  };
}

/** @type {Map<number, string>} */
const searchedNames = new Map();

/**
 * @param {number} i
 * @returns {FilterRow}
 */
const filterRow = (i) => ({
  layer: rows[i].layer,
  expert: rows[i].expert === "" ? NaN : Number(rows[i].expert),
  role: rows[i].role,
  stack: rows[i].stack,
  names() {
    let found = searchedNames.get(i);
    if (found === undefined) {
      const parts = [rows[i].stack, rows[i].role, text(i, "tensors"), text(i, "dtype"), text(i, "method")];
      found = parts
        .map((part) => printable(part, Infinity))
        .join(" ")
        .toLowerCase();
      searchedNames.set(i, found);
    }
    return found;
  },
  number: (name) => (name === "findings" ? findingsOn(i).length : value(rows[i], name)),
  text: (name) => text(i, name),
});
