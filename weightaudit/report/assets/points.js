// @ts-check
// What the charts by layer show of each matrix, or of a layer's experts together.
/**
 * @param {Row} row
 * @returns {string}
 */
function hover(row) {
  const i = row.i;
  /** @param {string} name */
  const show = (name) => digitsOf(number(i, name), 6, columns[name].rounding);
  return [
    "<b>" + plotText(placeWords(row)) + "</b>",
    ...troubleWords([row]),
    `stable rank ${show("stable_rank_lower")} to ${show("stable_rank")} of ${grouped(row.full)}`,
    `inverse stable rank ${digitsOf(value(row, "inverse_stable_rank"), 4)}`,
    `Frobenius norm ${show("frobenius_norm")}`,
    `spectral norm ${show("spectral_norm")} to ${show("spectral_norm_upper")}`,
    ...spectrumWords(row),
    `${text(i, "rows")} × ${text(i, "cols")}, ${plotText(text(i, "dtype"))}, ${plotText(text(i, "method"))}`,
    ...text(i, "tensors").split(";").slice(0, 4).map(plotText),
  ].join("<br>");
}

/**
 * Numbers of the whole spectrum, where they were asked for.
 * @param {Row} row
 * @returns {string[]}
 */
function spectrumWords(row) {
  if (!data.spectra || data.spectra.values[row.i] === null) return [];
  const kind = data.spectra.estimated[row.i] ? "estimate" : "exact";
  const tail = data.full?.[row.i]?.tail;
  return [
    `participation ratio ${digitsOf(value(row, "participation_ratio"), 4)} (${kind})`,
    `entropy effective rank ${digitsOf(value(row, "entropy_effective_rank"), 4)} (${kind})`,
    ...(tail ? [alphaWords(tail) + (tail.fits ? "" : ", but no power law fits")] : []),
  ];
}

/**
 * What one role shows at one layer: the number itself, or the median and range of a layer's experts.
 * @param {Row[]} members
 * @param {string} name
 * @returns {Point}
 */
function point(members, name) {
  const known = members
    .map((row) => value(row, name))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  if (members.length === 1) return { y: known[0] ?? null, text: hover(members[0]) };
  const first = members[0];
  const label = [first.stack, "layer " + first.layer, first.role].filter(Boolean).join(data.constants.between);
  const meaning = columns[name]?.meaning ?? data.lines.find((line) => line.column === name)?.axis ?? name;
  const before = [`<b>${plotText(label)}</b>`, ...troubleWords(members), plotText(meaning), ""].join("<br>");
  if (!known.length) {
    const said = `${members.length} matrices, none with finite norms`;
    return { y: null, low: null, high: null, text: before + said };
  }
  const [y, low, high] = [median(known), known[0], known[known.length - 1]];
  const numbers = `median of ${members.length}: ${digitsOf(y, 5)}<br>from ${digitsOf(low, 5)} to ${digitsOf(high, 5)}`;
  return { y, low, high, text: before + numbers };
}

/**
 * The points of each role of a stack.
 * @param {string} stack
 * @param {string} name
 * @returns {Course[]}
 */
const courses = (stack, name) =>
  byRole(stack).map(([role, layers]) => ({
    role,
    points: layers.map(([layer, members]) => ({ layer, members, ...point(members, name) })),
  }));

/**
 * One range for all stacks, so that they can be compared.
 * @param {string[]} names
 * @returns {{ low: number, high: number } | null}
 */
function valueRange(names) {
  const all = names
    .filter(Boolean)
    .flatMap((name) => layered.map((row) => value(row, name)))
    .filter((y) => Number.isFinite(y) && y > 0);
  return all.length ? { low: least(all), high: most(all) } : null;
}

/**
 * @param {string} what
 * @param {string} stack
 * @param {string} name
 */
function plotWords(what, stack, name) {
  const here = layered.filter((row) => row.stack === stack);
  const known = here.map((row) => value(row, name)).filter(Number.isFinite);
  const layers = here.map((row) => row.layer);
  const range = known.length
    ? `from ${digitsOf(least(known), 4)} to ${digitsOf(most(known), 4)}`
    : "no number is finite";
  return `${stack ? printable(stack) + ": " : ""}${what}: ${range}, over layers ${least(layers)} to ${most(layers)}. The table of matrices has every number.`;
}
