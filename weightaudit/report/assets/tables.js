// @ts-check
/**
 * Every matrix, and the CSV of them all.
 * @param {string} role
 */
function roleChip(role) {
  const index = roleIndex.get(role);
  return element("span", { class: index === undefined ? "role" : `role role-${index}` }, printable(role));
}

/** @param {number} id */
function roleCell(id) {
  if (isGroup(id)) return roleChip(rows[groupAt(id).members[0]].role);
  const found = findingsOn(id).length;
  if (!found) return roleChip(rows[id].role);
  const mark = element(
    "span",
    { class: `count ${SEVERITY_CSS.get(severityOf(id))}` },
    grouped(found),
    element("span", { class: "hidden" }, found === 1 ? " finding" : " findings"),
  );
  return element("span", {}, roleChip(rows[id].role), " ", mark);
}

/**
 * @param {string} name
 * @returns {Field}
 */
function layerField(name) {
  const column = columns[name];
  const flag = name === "converged";
  const numeric = column.numeric && !flag;
  /** @param {number} i */
  function show(i) {
    if (name === "role") return roleCell(i);
    if (isGroup(i)) return groupCell(i, name);
    if (flag) return text(i, name) === "true" ? "yes" : "no";
    if (name === "tensors")
      return text(i, name)
        .split(";")
        .map((tensor) => printable(tensor))
        .join("; ");
    if (!numeric) return printable(text(i, name));
    const x = value(rows[i], name);
    if (column.whole) return Number.isNaN(x) ? "" : grouped(x);
    return digitsOf(x, 6, column.rounding);
  }
  /** @param {number} i */
  function key(i) {
    if (!isGroup(i)) return numeric ? value(rows[i], name) : text(i, name);
    return numeric ? groupKey(i, name) : text(groupAt(i).members[0], name);
  }
  return { name, label: column.label, title: column.meaning, numeric, opener: name === "role", show, key };
}

function startLayers() {
  findGroups();
  const host = byId("layers");
  /** @param {string} name */
  const optional = (name) => (rows.some((row) => text(row.i, name) !== "") ? [name] : []);
  // Behind those of every scan are those of quantised weights, where there are such.
  const last = data.columns.findIndex(({ name }) => name === "max_abs");
  const quantised = data.columns.slice(last + 1).flatMap(({ name }) => optional(name));
  const names = [
    ...optional("stack"),
    ...optional("layer"),
    ...optional("expert"),
    "role",
    "rows",
    "cols",
    "frobenius_norm",
    "spectral_norm",
    "spectral_norm_upper",
    "stable_rank_lower",
    "stable_rank",
    "inverse_stable_rank",
    "norm_ratio",
    "max_abs",
    "zeros",
    "nonfinite",
    "converged",
    "method",
    "passes",
    ...quantised,
    "dtype",
    "parameters",
    "tensors",
  ];
  const all = rows.map((row) => row.i);
  let kept = all;
  let apart = false;
  const lines = () => (apart ? kept : groupedLines(kept));
  const table = pagedTable("Every matrix", names.map(layerField), lines(), {
    children: (id) => (isGroup(id) ? groupAt(id).members : null),
    parent: (id) => (apart ? undefined : groupOf.get(id)),
    detail: detailOf,
    words: () => (groups.length && !apart ? ` lines, ${grouped(kept.length)} matrices` : ""),
  });

  const words = element("input", {
    type: "search",
    placeholder: "Filter by name, layer, type …",
    "aria-label": "Filter the table",
    oninput: narrow,
  });
  const role = element(
    "select",
    { "aria-label": "Role", onchange: narrow },
    element("option", { value: "" }, "All roles"),
    ...data.roles.map((style, i) => element("option", { value: String(i) }, printable(style.role))),
  );
  const rule = element(
    "select",
    { "aria-label": "Findings", onchange: narrow },
    element("option", { value: "" }, "With or without findings"),
    element("option", { value: "any" }, "With findings"),
    ...data.findings.groups.map((group, i) => element("option", { value: String(i) }, printable(group.title, 60))),
  );
  const experts = element("button", { type: "button", "aria-pressed": "false", onclick: takeApart }, "Every expert");
  const download = element("button", { type: "button", id: "download", onclick: downloadCsv }, "Download CSV");
  /** @type {string[] | null} */
  let searched = null;

  /** @param {number} i */
  function searchedFor(i) {
    searched ??= rows.map((row) =>
      [
        row.stack,
        "layer " + row.layer,
        "expert " + row.expert,
        row.role,
        text(row.i, "tensors"),
        text(row.i, "dtype"),
        text(row.i, "method"),
      ]
        .map((part) => printable(part, Infinity))
        .join(" ")
        .toLowerCase(),
    );
    return searched[i];
  }

  function narrow() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = role.value === "" ? null : data.roles[Number(role.value)].role;
    const marked =
      rule.value === ""
        ? null
        : new Set(
            data.findings.row.filter((_, at) => rule.value === "any" || data.findings.group[at] === Number(rule.value)),
          );
    kept = all.filter(
      (i) =>
        (only === null || rows[i].role === only) &&
        (!marked || marked.has(i)) &&
        wanted.every((word) => searchedFor(i).includes(word)),
    );
    table.show(lines());
  }

  function takeApart() {
    apart = !apart;
    experts.setAttribute("aria-pressed", String(apart));
    table.show(lines());
  }

  function unfiltered() {
    words.value = role.value = rule.value = "";
    kept = all;
  }

  const tools = [
    words,
    role,
    ...(data.findings.row.length ? [rule] : []),
    ...(groups.length ? [experts] : []),
    download,
  ];
  host.replaceChildren(element("div", { class: "tools" }, ...tools), ...table.nodes);
  /**
   * Both stay in sight when the table is moved sideways: the role beside the layer.
   * @type {HTMLElement | null}
   */
  const layer = host.querySelector("th.c-layer");
  if (layer) host.style.setProperty("--layer-width", `${layer.offsetWidth - 1}px`);
  return {
    /**
     * The row, opened, marked and in sight, whatever was filtered.
     * @param {number} i
     */
    reveal(i) {
      unfiltered();
      table.show(lines());
      table.reveal(i);
    },
    /**
     * The matrices of one rule's findings.
     * @param {number} number
     */
    only(number) {
      unfiltered();
      rule.value = String(number);
      narrow();
      host.scrollIntoView({ behavior: "instant" });
      rule.focus({ preventScroll: true });
    },
  };
}
