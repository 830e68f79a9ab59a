// @ts-check
// The table of models: one row a model, one column a number; a failed model has its reason instead.
const models = data.models;

/** @param {string} words */
const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** @param {number} i */
function nameCell(i) {
  const name = printable(models.name[i]);
  return models.link[i] ? element("a", { href: models.link[i] }, name) : name;
}

/** @param {number} i */
function findingsCell(i) {
  const counts = models.findings[i];
  const told = data.constants.severities.flatMap(({ name, plural, css }, at) =>
    counts[at]
      ? [element("span", { class: `count ${css}` }, `${grouped(counts[at])} ${counts[at] > 1 ? plural : name}`)]
      : [],
  );
  return told.length ? element("span", {}, ...told) : models.checked[i] ? "none" : "not checked";
}

/** @param {number} i */
function familyCell(i) {
  const name = printable(models.family[i]);
  return models.guessed[i]
    ? element("span", {}, name + " ", element("span", { class: "count warn" }, "guessed"))
    : name;
}

/**
 * Lengths of the bars below the numbers of one kind share one scale, so that columns can be compared too.
 * @param {string} name
 * @returns {number}
 */
function barScale(name) {
  const kind = ["stable_rank", "norm_preservation"].find((start) => name.startsWith(start));
  if (!kind) return 0;
  const names = Object.keys(data.metrics).filter((other) => other.startsWith(kind));
  return names
    .flatMap((other) => data.metrics[other])
    .reduce((/** @type {number} */ high, x) => Math.max(high, Number(x)), 0);
}

/**
 * @param {SummaryColumn} column
 * @returns {Field}
 */
function metricField(column) {
  const { name, kind } = column;
  const numeric = kind !== "text";
  const values = data.metrics[name];
  const full = barScale(name);
  /** @param {number | string} given */
  const words = (given) => {
    if (kind === "text") return printable(String(given)).replaceAll(";", ", ");
    const x = Number(given);
    if (name.startsWith("parameters")) return magnitude(x, data.constants.units);
    if (name === "share_analysed") return (Math.floor(x * 10000) / 100).toFixed(2) + " %";
    return kind === "int" ? grouped(x) : digitsOf(x, 4);
  };
  /** @param {number} i */
  function show(i) {
    const x = values[i];
    if (x === null) return UNKNOWN;
    if (!full) return words(x);
    const bar = element("span", { class: "bar-below" }, words(x));
    bar.style.setProperty("--share", ((100 * Number(x)) / full).toFixed(1) + "%");
    return bar;
  }
  /** @param {number} i */
  const key = (i) => values[i] ?? (numeric ? NaN : "");
  return { name, label: sentence(column.title), title: column.meaning, numeric, show, key };
}

// What tells models apart comes first, what is the same for most of them last.
const LAST = ["parameters_analysed", "share_analysed", "matrices", "not_converged", "nonfinite", "zeros", "dtypes"];

/** @returns {Field[]} */
function modelFields() {
  /**
   * @param {"name" | "family" | "revision"} name
   * @param {string} label
   * @param {string} title
   * @param {(i: number) => string | Node} show
   * @returns {Field}
   */
  const text = (name, label, title, show) => ({
    name,
    label,
    title,
    numeric: false,
    show,
    key: (i) => models[name][i].toLowerCase(),
  });
  /** @param {number} i */
  const rank = (i) =>
    models.failed[i] || !(models.checked[i] || models.findings[i].some(Boolean))
      ? NaN
      : models.findings[i].reduce((sum, n) => sum * 1e5 + Math.min(n, 99999), 0);
  const fields = [
    text("name", "Model", "leads to the model's report", nameCell),
    text("family", "Family", "how its tensors are mapped to roles", familyCell),
    {
      name: "findings",
      label: "Findings",
      title: "errors, warnings and other findings; sorted by errors first",
      numeric: true,
      show: findingsCell,
      key: rank,
    },
    ...data.columns.filter(({ name }) => !LAST.includes(name)).map(metricField),
    ...LAST.flatMap((name) => data.columns.filter((column) => column.name === name)).map(metricField),
  ];
  if (models.revision.some(Boolean)) {
    fields.push(
      text("revision", "Revision", "commit of a Hub model", (i) =>
        element("code", { title: printable(models.revision[i]) }, printable(models.revision[i]).slice(0, 10)),
      ),
    );
  }
  return fields;
}

/**
 * @param {Field[]} fields
 * @returns {(i: number) => HTMLElement[] | null}
 */
function failedCells(fields) {
  return (i) => {
    if (!models.failed[i]) return null;
    const said = element(
      "div",
      { class: "why" },
      element("span", { class: "count bad" }, "failed"),
      " ",
      printable(models.reason[i], 1000),
    );
    if (models.log[i]) said.append(" ", element("a", { href: models.log[i] }, "log"));
    return [
      element("td", { class: "c-name" }, printable(models.name[i])),
      element("td", { colspan: String(fields.length - 1) }, said),
    ];
  };
}

/** @type {[label: string, test: (i: number) => boolean][]} */
const STATES = [
  ["All models", () => true],
  ["Finished", (i) => !models.failed[i]],
  ["Failed", (i) => models.failed[i] > 0],
  ["With errors", (i) => models.findings[i][0] > 0],
  ["With errors or warnings", (i) => models.findings[i][0] > 0 || models.findings[i][1] > 0],
  ["Not checked", (i) => !models.failed[i] && !models.checked[i]],
  ["Roles guessed", (i) => models.guessed[i] > 0],
];

/**
 * `arranged` hears which models the table shows, in its order.
 * @param {(order: number[]) => void} arranged
 */
function startTable(arranged) {
  const host = byId("table");
  const all = Array.from({ length: data.count }, (_, i) => i);
  const fields = modelFields();
  const table = pagedTable("Models", fields, all, { cells: failedCells(fields), arranged });
  const words = element("input", {
    type: "search",
    placeholder: "Filter by name, family, reason …",
    "aria-label": "Filter the models",
    oninput: narrow,
  });
  const family = element(
    "select",
    { "aria-label": "Family", onchange: narrow },
    element("option", { value: "" }, "All families"),
  );
  const families = [...new Set(models.family)].filter(Boolean).sort();
  family.append(...families.map((name, at) => element("option", { value: String(at) }, printable(name, 60))));
  const states = STATES.map(([label, test], at) => ({ label, test, at })).filter(
    ({ at, test }) => !at || (all.some((i) => test(i)) && !all.every((i) => test(i))),
  );
  const state = element(
    "select",
    { "aria-label": "Which models", onchange: narrow },
    ...states.map(({ label, at }) => element("option", { value: String(at) }, label)),
  );
  const searched = all.map((i) =>
    [models.name[i], models.family[i], models.revision[i], models.reason[i]]
      .map((part) => printable(part, Infinity))
      .join(" ")
      .toLowerCase(),
  );

  function narrow() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = family.value === "" ? null : families[Number(family.value)];
    const test = STATES[Number(state.value)][1];
    table.keep(
      (i) =>
        test(i) && (only === null || models.family[i] === only) && wanted.every((word) => searched[i].includes(word)),
    );
  }

  const tools = [words, ...(families.length > 1 ? [family] : []), ...(states.length > 1 ? [state] : [])];
  host.replaceChildren(element("div", { class: "tools" }, ...tools), ...table.nodes);
  arranged(all);
}
