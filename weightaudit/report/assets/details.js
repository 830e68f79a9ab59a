// @ts-check
// What a row of the table says when it is opened: interval, tensors, findings, and the command that repeats it.
const findingDetail = decoded(data.findings.detail);
const digest = decoded(data.digests);
/** @type {Map<number, number[]> | null} */
let findingsByRow = null;

/**
 * Numbers of the findings on each row that has any.
 * @returns {Map<number, number[]>}
 */
function indexedFindings() {
  const found = new Map();
  data.findings.row.forEach((row, at) => {
    if (!found.has(row)) found.set(row, []);
    found.get(row).push(at);
  });
  return found;
}

/**
 * Numbers of the findings on row `i`.
 * @param {number} i
 * @returns {number[]}
 */
function findingsOn(i) {
  findingsByRow ??= indexedFindings();
  return findingsByRow.get(i) ?? [];
}

/** @param {number} i */
const severityOf = (i) => data.findings.groups[least(findingsOn(i).map((at) => data.findings.group[at]))].severity;
const SEVERITY_CSS = new Map(data.constants.severities.map(({ name, css }) => [name, css]));

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
  /**
   * @param {string} name
   * @param {...(string | Node)} said
   */
  const fact = (name, ...said) => element("div", {}, element("dt", {}, name), element("dd", {}, ...said));
  const found = findingsOn(i).map((at) => {
    const group = data.findings.groups[data.findings.group[at]];
    return element(
      "li",
      {},
      element("span", { class: `severity ${SEVERITY_CSS.get(group.severity)}` }, group.severity),
      " ",
      element("a", { href: `#finding-${data.findings.group[at]}` }, printable(group.title)),
      findingDetail(at) && `: ${printable(findingDetail(at), 1000)}`,
    );
  });
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
        .map((name) => element("code", { class: "tensor" }, printable(name, 1000))),
    ),
    ...(digest(i) ? [fact("Digest", element("code", {}, digest(i)))] : []),
    fact(
      "Compute it again",
      element("pre", { tabindex: "0", class: "command" }, element("code", {}, printable(commandFor(row), 4000))),
    ),
  ];
  const ways = element(
    "p",
    { class: "ways" },
    element("a", { href: `#m-${i}` }, "Address of this row"),
    ...(found.length
      ? [" · ", element("a", { href: "#findings" }, "Back to the findings")]
      : [" · ", element("a", { href: "#summary" }, "Back to the summary")]),
  );
  return element(
    "div",
    { class: "detail", role: "group", "aria-label": placeWords(row) },
    element("p", {}, element("strong", {}, placeWords(row))),
    element("dl", { class: "facts" }, ...facts),
    ways,
  );
}
