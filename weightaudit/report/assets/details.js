// @ts-check
// What a row of the table says when it is opened: interval, tensors, findings, and the command that repeats it.
const digest = decoded(data.digests);

/** @param {string} word */
const inShell = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\"'\"'") + "'");

/** @param {Row} row */
function commandFor(row) {
  const layer = Number.isNaN(row.layer) ? "" : ` --layers ${row.layer}`;
  return `${data.command.before} --roles ${inShell(row.role)}${layer} ${data.command.after}`;
}

/** @param {number} i */
function measuredWords(i) {
  const spoilt = number(i, "nonfinite");
  if (spoilt > 0)
    return `no norm is defined: ${grouped(spoilt)} of ${grouped(number(i, "parameters"))} entries ${spoilt === 1 ? "is" : "are"} NaN or infinite`;
  const passes = number(i, "passes");
  const read = `${passes} ${passes === 1 ? "pass" : "passes"} over the weights`;
  const how =
    text(i, "method") === "exact"
      ? "from the whole spectrum, exact up to rounding"
      : `by ${printable(text(i, "method"))}`;
  return `${how}, ${read}; ${text(i, "converged") === "true" ? "the interval is as narrow as asked for" : "not converged: the interval is wider than asked for"}`;
}

/** @param {number} i */
function detailOf(i) {
  const row = rows[i];
  /**
   * @param {string} low
   * @param {string} high
   */
  const ends = (low, high) => {
    const [a, b] = [digitsOf(number(i, low), 6, "down"), digitsOf(number(i, high), 6, "up")];
    return a === b ? a : `${a} to ${b}`;
  };
  const found = foundItems(i);
  const facts = [
    ...(found.length ? [fact("Findings", element("ul", {}, ...found))] : []),
    fact(
      "Stable rank",
      element("b", {}, ends("stable_rank_lower", "stable_rank")),
      `; the full rank is ${grouped(row.full)}`,
    ),
    fact("Spectral norm σ₁", ends("spectral_norm", "spectral_norm_upper")),
    fact("Frobenius norm", digitsOf(number(i, "frobenius_norm"), 6)),
    fact("Measured", measuredWords(i)),
    fact(
      "Tensors",
      ...text(i, "tensors")
        .split(";")
        .map((name) => copyable(element("code", { class: "tensor" }, printable(name, 1000)), "tensor's name")),
    ),
    ...(digest(i) ? [fact("Digest", element("code", {}, digest(i)))] : []),
    fact(
      "Compute it again",
      copyable(
        element("pre", { tabindex: "0", class: "command" }, element("code", {}, printable(commandFor(row), 4000))),
        "command",
      ),
    ),
  ];
  return detailNode(i, placeWords(row), facts, found.length > 0);
}
