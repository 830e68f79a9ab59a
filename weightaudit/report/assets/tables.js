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
  /** How what was typed was understood, beside the number of rows: a slip is seen where rows are left, too. */
  let understood = "";
  const lines = () => (apart ? kept : groupedLines(kept));
  const table = pagedTable("Every matrix", names.map(layerField), lines(), {
    children: (id) => (isGroup(id) ? groupAt(id).members : null),
    parent: (id) => (apart ? undefined : groupOf.get(id)),
    detail: detailOf,
    words: () => (groups.length && !apart ? ` lines, ${grouped(kept.length)} matrices` : "") + understood,
    none: noneWords,
  });

  const words = element("input", {
    type: "search",
    placeholder: "Filter: layer 3 M1, stable_rank<5, a name …",
    title: `What can be typed: ${FILTER_HELP}`,
    "aria-label": "Filter the table",
    oninput: choose,
  });
  const role = element(
    "select",
    { "aria-label": "Role", onchange: choose },
    element("option", { value: "" }, "All roles"),
    ...data.roles.map((style, i) => element("option", { value: String(i) }, printable(style.role))),
  );
  const rule = element(
    "select",
    { "aria-label": "Findings", onchange: choose },
    element("option", { value: "" }, "With or without findings"),
    element("option", { value: "any" }, "With findings"),
    ...data.findings.groups.map((group, i) => element("option", { value: String(i) }, printable(group.title, 60))),
  );
  const experts = element("button", { type: "button", "aria-pressed": "false", onclick: takeApart }, "Every expert");
  const download = element("button", { type: "button", id: "download", onclick: downloadCsv }, "Download CSV");
  const terms = filterTerms();

  function narrow() {
    const { conditions, problems } = parseFilter(words.value, terms);
    const only = role.value === "" ? null : data.roles[Number(role.value)].role;
    const marked =
      rule.value === ""
        ? null
        : new Set(
            data.findings.row.filter((_, at) => rule.value === "any" || data.findings.group[at] === Number(rule.value)),
          );
    const asked = alternatives(conditions);
    kept = problems.length
      ? []
      : all.filter((i) => {
          if ((only !== null && rows[i].role !== only) || (marked && !marked.has(i))) return false;
          const row = filterRow(i);
          return asked.every((some) => some.some((condition) => meets(condition, row)));
        });
    const said = saidOf(conditions);
    understood = said && ` with ${printable(said, 1000)}`;
    table.show(lines());
  }

  /** Why no line is left, and what can be asked. */
  function noneWords() {
    const { conditions, problems } = parseFilter(words.value, terms);
    const chosen = [role, rule].filter((select) => select.value).map((select) => select.selectedOptions[0].text);
    const asked = [saidOf(conditions), ...chosen].filter(Boolean).map((said) => printable(said, 1000));
    const why = problems.length
      ? problems.map((said) => printable(said, 1000)).join(" ")
      : `No row matches ${asked.join(", ")}.`;
    return `${why} What can be typed: ${FILTER_HELP}.`;
  }

  /** What a person chose: the address says it too. */
  function choose() {
    narrow();
    tellView({
      filter: words.value.trim(),
      role: role.value && data.roles[Number(role.value)].role,
      rule: rule.value && (data.findings.groups[Number(rule.value)]?.id ?? rule.value),
      experts: apart ? "each" : "",
    });
  }

  /** @param {boolean} wanted whether each expert is to have a line of its own */
  function setApart(wanted) {
    apart = wanted && groups.length > 0;
    experts.setAttribute("aria-pressed", String(apart));
  }

  function takeApart() {
    setApart(!apart);
    choose();
  }

  function unfiltered() {
    words.value = role.value = rule.value = understood = "";
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
    tell: table.tell,
    /**
     * What an address asks for.
     * @param {View} view
     */
    show(view) {
      unfiltered();
      words.value = view.filter;
      role.value = String(data.roles.findIndex((style) => style.role === view.role));
      rule.value = view.rule === "any" ? "any" : String(data.findings.groups.findIndex(({ id }) => id === view.rule));
      // A select has no value where no option has it.
      for (const select of [role, rule]) if (select.selectedIndex < 0) select.value = "";
      setApart(view.experts === "each");
      narrow();
      host.scrollIntoView({ behavior: "instant" });
      words.focus({ preventScroll: true });
    },
  };
}
