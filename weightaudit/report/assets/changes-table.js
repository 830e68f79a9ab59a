// @ts-check
/**
 * Every matrix and vector, and the CSV of them all.
 * @param {number} i
 */
function kindChip(i) {
  return element("span", { class: `kind kind-${kindOf(i)}` }, printable(did(i)));
}

/** @param {number} i */
function nameCell(i) {
  const found = findingsOn(i).length;
  const name = nameOf(rows[i]);
  if (!found) return name;
  const words = element("span", { class: "hidden" }, found === 1 ? " finding" : " findings");
  const css = `count ${SEVERITY_CSS.get(severityOf(i))}`;
  return element("span", {}, name, " ", element("span", { class: css }, grouped(found), words));
}

/**
 * What a cell of a column shows.
 * @param {string} name
 * @param {number} i
 */
function changeWords(name, i) {
  const column = columns[name];
  const said = text(i, name);
  if (said === "") return "";
  if (name === "relative" || name === "floor_relative") return relativeWords(number(i, name));
  if (column.numeric && column.whole) return grouped(said);
  if (number(i, name) === Infinity) return "∞";
  if (column.numeric) return digitsOf(number(i, name), 4, column.rounding);
  return said === "true" ? "yes" : said === "false" ? "no" : printable(said.replaceAll(";", "; "));
}

/**
 * @param {string} name
 * @returns {Field}
 */
function changeField(name) {
  const { label, meaning, numeric } = columns[name];
  return {
    name,
    label,
    title: meaning,
    numeric,
    show: (i) => (name === "kind" ? kindChip(i) : changeWords(name, i)),
    key: (i) => (numeric ? number(i, name) : text(i, name)),
  };
}

/**
 * All that is known of a row, column by column.
 * @param {number} i
 */
function changeDetail(i) {
  const found = foundItems(i);
  const known = data.columns.filter(({ name }) => text(i, name) !== "");
  const facts = known.map(({ name, label, meaning }) => {
    const node = fact(label, name === "kind" ? printable(did(i)) : changeWords(name, i));
    node.setAttribute("title", meaning);
    return node;
  });
  const said = found.length ? [fact("Findings", element("ul", {}, ...found))] : [];
  return detailNode(i, nameOf(rows[i]), [...said, ...facts], found.length > 0);
}

function startChanges() {
  const host = byId("layers");
  const all = rows.map((row) => row.i);
  /** @param {string} name */
  const told = (name) => all.some((i) => text(i, name) !== "");
  const first = ["kind", "relative", "above_floor", "rank", "stable_rank_lower", "stable_rank", "spectral_norm"];
  const names = [...first, "spectral_norm_upper", "flatness", "cosine", "shrink", "changed", "rows_changed"];
  const last = ["rows", "cols", "precision_base", "precision_derived", "tensors"];
  const others = data.columns
    .map(({ name }) => name)
    .filter((name) => ![...names, ...last, "stack", "layer", "expert", "role", "frobenius_norm"].includes(name));
  /** @type {Field} */
  const opener = {
    name: "name",
    label: "Where",
    title: "the matrix's place, or the vector's name",
    numeric: false,
    opener: true,
    show: nameCell,
    key: (i) => i,
  };
  const fields = [opener, ...[...names, ...others, ...last].filter(told).map(changeField)];
  const table = pagedTable("Every matrix and vector", fields, all, { detail: changeDetail });

  const words = element("input", {
    type: "search",
    placeholder: "Filter by name, layer, kind …",
    "aria-label": "Filter the table",
    oninput: narrow,
  });
  const role = element(
    "select",
    { "aria-label": "Role", onchange: narrow },
    element("option", { value: "" }, "All roles"),
    ...data.roles.map((style, i) => element("option", { value: String(i) }, printable(style.role))),
    element("option", { value: "vectors" }, "Vectors"),
  );
  const kinds = [...new Set(all.map(kindOf))].sort((a, b) => a - b);
  const kind = element(
    "select",
    { "aria-label": "Kind", onchange: narrow },
    element("option", { value: "" }, "All kinds"),
    element("option", { value: "changed" }, "All but unchanged"),
    ...kinds.map((i) => element("option", { value: String(i) }, data.kinds[i].kind)),
  );
  const rule = element(
    "select",
    { "aria-label": "Findings", onchange: narrow },
    element("option", { value: "" }, "With or without findings"),
    ...data.findings.groups.map((group, i) => element("option", { value: String(i) }, printable(group.title, 60))),
  );
  /** @type {string[] | null} */
  let searched = null;

  /** @param {number} i */
  function searchedFor(i) {
    searched ??= rows.map((row) =>
      [placeWords(row), did(row.i), text(row.i, "tensors"), text(row.i, "tensors_base")]
        .map((part) => printable(part, Infinity))
        .join(" ")
        .toLowerCase(),
    );
    return searched[i];
  }

  /** @param {number} i */
  function roleFits(i) {
    if (role.value === "") return true;
    return rows[i].role === (role.value === "vectors" ? "" : data.roles[Number(role.value)].role);
  }

  /** @param {number} i */
  function kindFits(i) {
    if (kind.value === "") return true;
    return kind.value === "changed" ? text(i, "kind") !== "unchanged" : kindOf(i) === Number(kind.value);
  }

  function narrow() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const marked =
      rule.value === ""
        ? null
        : new Set(data.findings.row.filter((_, at) => data.findings.group[at] === Number(rule.value)));
    table.keep(
      (i) =>
        roleFits(i) &&
        kindFits(i) &&
        (!marked || marked.has(i)) &&
        wanted.every((word) => searchedFor(i).includes(word)),
    );
  }

  function unfiltered() {
    words.value = role.value = kind.value = rule.value = "";
  }

  const download = element("button", { type: "button", id: "download", onclick: downloadCsv }, "Download CSV");
  const tools = [words, role, kind, ...(data.findings.row.length ? [rule] : []), download];
  host.replaceChildren(element("div", { class: "tools" }, ...tools), ...table.nodes);
  return {
    /**
     * The row, opened, marked and in sight, whatever was filtered.
     * @param {number} i
     */
    reveal(i) {
      unfiltered();
      table.show(all);
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
      rule.value = String(data.findings.groups.findIndex(({ id }) => id === view.rule));
      // A select has no value where no option has it.
      for (const select of [role, rule]) if (select.selectedIndex < 0) select.value = "";
      narrow();
      host.scrollIntoView({ behavior: "instant" });
      rule.focus({ preventScroll: true });
    },
  };
}
