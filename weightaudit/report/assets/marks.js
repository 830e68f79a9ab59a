// @ts-check
// Which findings a row of the table has, and the frame of what an opened row says.
const findingDetail = decoded(data.findings.detail);
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

/**
 * A line for each finding on row `i`, which leads to what is said of it.
 * @param {number} i
 */
const foundItems = (i) =>
  findingsOn(i).map((at) => {
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

/**
 * A term, and what is said of it.
 * @param {string} name
 * @param {...(string | Node)} said
 */
const fact = (name, ...said) => element("div", {}, element("dt", {}, name), element("dd", {}, ...said));

/**
 * What an opened row `i` shows: `facts` under the name of what it is about, and the ways on.
 * @param {number} i
 * @param {string} name
 * @param {Node[]} facts
 * @param {boolean} found whether it has findings
 */
function detailNode(i, name, facts, found) {
  const back = found
    ? element("a", { href: "#findings" }, "Back to the findings")
    : element("a", { href: "#summary" }, "Back to the summary");
  return element(
    "div",
    { class: "detail", role: "group", "aria-label": name },
    element("p", {}, element("strong", {}, name)),
    element("dl", { class: "facts" }, ...facts),
    element("p", { class: "ways" }, element("a", { href: anchorOf(i) }, "Address of this row"), " · ", back),
  );
}
