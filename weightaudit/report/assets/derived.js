// @ts-check
// Numbers that no column holds.
/**
 * @param {Row} row
 * @param {string} name
 * @returns {number}
 */
function value(row, name) {
  if (name === "inverse_stable_rank") return 1 / number(row.i, "stable_rank");
  if (name === "rank_share") return number(row.i, "stable_rank") / row.full;
  if (data.spectra && (name === "participation_ratio" || name === "entropy_effective_rank"))
    return data.spectra[name][row.i] ?? NaN;
  if (data.full && (name === "alpha" || name === "alpha_lower" || name === "alpha_upper"))
    return data.full[row.i]?.tail?.[name] ?? NaN;
  return number(row.i, name);
}
