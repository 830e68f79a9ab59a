// The scan's rows: its columnar tables once more as objects, for plotting and sorting.
const columns = Object.fromEntries(data.columns.map((column) => [column.name, column]));
const roleIndex = new Map(data.roles.map((style, i) => [style.role, i]));

// A cell of a columnar table; a column that never changes is stored as one string.
function cell(table, name, i) {
  const column = table[name];
  return typeof column === "string" ? column : column[i];
}

const text = (i, name) => cell(data.cells, name, i);
const number = (i, name) => (text(i, name) === "" ? NaN : Number(text(i, name)));

// The rows once more as numbers, for plotting and sorting.
const rows = Array.from({ length: data.count }, (_, i) => ({
  i,
  stack: text(i, "stack"),
  layer: number(i, "layer"),
  expert: text(i, "expert"),
  role: text(i, "role"),
  full: Math.min(number(i, "rows"), number(i, "cols")),
}));

function value(row, name) {
  if (name === "inverse_stable_rank") return 1 / number(row.i, "stable_rank");
  if (name === "rank_share") return number(row.i, "stable_rank") / row.full;
  if (data.spectra && name in data.spectra) return data.spectra[name][row.i] ?? NaN;
  return number(row.i, name);
}
