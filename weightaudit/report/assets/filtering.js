// @ts-check
// What the filter of a scan's table may ask, and what it is told of each row.
/** Columns that are asked for by their words, whatever their type. */
const FILTER_FLAGS = ["converged"];

/** @returns {FilterTerms} */
function filterTerms() {
  const known = [...data.columns, ...data.derived].map(({ name, numeric }) => [
    name,
    numeric && !FILTER_FLAGS.includes(name),
  ]);
  return {
    roles: data.roles.map((style) => style.role),
    stacks: [...new Set(rows.map((row) => row.stack))].filter(Boolean),
    rules: [...new Set(data.findings.groups.map(({ id }) => id))],
    severities: data.constants.severities,
    columns: Object.fromEntries([...known, ["rank_share", true], ["findings", true]]),
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
  found: () =>
    findingsOn(i).flatMap((at) => {
      const { id, severity } = data.findings.groups[data.findings.group[at]];
      return [id, severity];
    }),
  number: (name) => (name === "findings" ? findingsOn(i).length : value(rows[i], name)),
  text: (name) => text(i, name),
});
