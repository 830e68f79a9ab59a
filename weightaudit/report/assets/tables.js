// Tables of any length: sorted by their headers, filtered, drawn one page at a time.
const PAGE = 100;
const PRINTED = 5000;

const style = (field) => "c-" + field.name + (field.numeric ? " n" : "");

// `fields` are {name, label, title, numeric, show(i) → string or node, key(i) → number or string}; `indices` the rows.
function pagedTable(caption, fields, indices) {
  const state = { field: null, ascending: true, page: 0, shown: indices, size: PAGE };
  const body = element("tbody");
  const status = element("span", { role: "status" });
  const previous = element("button", { type: "button", onclick: () => turn(-1) }, "‹ Previous");
  const next = element("button", { type: "button", onclick: () => turn(1) }, "Next ›");
  const heads = fields.map((field) =>
    element("th", { scope: "col", class: style(field), "data-column": field.name },
      element("button", { type: "button", title: field.title, onclick: () => sortBy(field) }, field.label)),
  );
  const scroller = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", {}, element("caption", { class: "hidden" }, caption), element("thead", {}, element("tr", {}, ...heads)), body));

  function turn(by) {
    state.page += by;
    scroller.scrollTop = 0;
    draw();
  }

  function sortBy(field) {
    state.ascending = state.field === field ? !state.ascending : !field.numeric || field.name === "layer";
    state.field = field;
    state.page = 0;
    arrange();
  }

  // Unknown numbers go last in either direction; equal ones keep the report's order.
  function arrange() {
    const { field, ascending } = state;
    heads.forEach((head, i) => {
      if (fields[i] === field) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    state.shown = state.kept ?? indices;
    if (field) {
      const sign = ascending ? 1 : -1;
      const keyed = state.shown.map((i, place) => ({ i, place, key: field.key(i) }));
      const missing = (key) => key === "" || Number.isNaN(key);
      keyed.sort((a, b) => {
        if (missing(a.key) || missing(b.key)) return missing(a.key) - missing(b.key) || a.place - b.place;
        return sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) || a.place - b.place;
      });
      state.shown = keyed.map(({ i }) => i);
    }
    draw();
  }

  function draw() {
    const start = state.page * state.size;
    const end = Math.min(start + state.size, state.shown.length);
    const lines = [];
    for (let at = start; at < end; at++) {
      const i = state.shown[at];
      lines.push(element("tr", {}, ...fields.map((field) => element("td", { class: style(field) }, field.show(i)))));
    }
    body.replaceChildren(...lines);
    status.textContent = state.shown.length ? `${grouped(start + 1)}–${grouped(end)} of ${grouped(state.shown.length)}` : "No row matches";
    previous.disabled = start === 0;
    next.disabled = end >= state.shown.length;
    previous.hidden = next.hidden = state.shown.length <= state.size;
  }

  window.addEventListener("beforeprint", () => { state.size = PRINTED; state.page = 0; draw(); });
  window.addEventListener("afterprint", () => { state.size = PAGE; draw(); });
  draw();
  return {
    nodes: [scroller, element("p", { class: "pager" }, previous, status, next)],
    keep(wanted) {
      state.kept = indices.filter(wanted);
      state.page = 0;
      arrange();
    },
  };
}

function roleChip(role) {
  const index = roleIndex.get(role);
  return element("span", { class: index === undefined ? "role" : `role role-${index}` }, printable(role));
}

const LABELS = {
  layer: "Layer", expert: "Expert", stack: "Stack", role: "Role", rows: "Rows", cols: "Cols", dtype: "Type",
  parameters: "Parameters", frobenius_norm: "‖W‖ Frobenius", spectral_norm: "σ₁ lower", spectral_norm_upper: "σ₁ upper",
  stable_rank_lower: "Stable rank lower", stable_rank: "Stable rank upper", inverse_stable_rank: "1 / stable rank",
  norm_ratio: "Norm ratio", method: "Method", passes: "Passes", converged: "Converged", nonfinite: "NaN or ∞",
  zeros: "Zeros", max_abs: "Largest |w|", tensors: "Tensors",
};

function layerField(name) {
  const column = columns[name] ?? { numeric: true, meaning: "inverse of the stable rank's upper end", rounding: "down" };
  const flag = name === "converged";
  const numeric = column.numeric && !flag;
  const get = (i) => value(rows[i], name);
  const whole = ["layer", "expert", "rows", "cols", "parameters", "passes", "nonfinite", "zeros"].includes(name);
  function show(i) {
    if (name === "role") return roleChip(rows[i].role);
    if (flag) return text(i, name) === "true" ? "yes" : "no";
    if (name === "tensors") return text(i, name).split(";").map((tensor) => printable(tensor)).join("; ");
    if (!numeric) return printable(text(i, name));
    if (whole) return Number.isNaN(get(i)) ? "" : grouped(get(i));
    return digitsOf(get(i), 6, column.rounding);
  }
  return { name, label: LABELS[name], title: column.meaning, numeric, show, key: numeric ? get : (i) => text(i, name) };
}

function startLayers() {
  const host = document.getElementById("layers");
  const optional = (name) => (rows.some((row) => text(row.i, name) !== "") ? [name] : []);
  const names = [
    ...optional("stack"), ...optional("layer"), ...optional("expert"), "role", "rows", "cols", "frobenius_norm",
    "spectral_norm", "spectral_norm_upper", "stable_rank_lower", "stable_rank", "inverse_stable_rank", "norm_ratio", "max_abs",
    "zeros", "nonfinite", "converged", "method", "passes", "dtype", "parameters", "tensors",
  ];
  const table = pagedTable("Every matrix", names.map(layerField), rows.map((row) => row.i));
  const words = element("input", { type: "search", placeholder: "Filter by name, layer, type …", "aria-label": "Filter the table", oninput: narrow });
  const role = element("select", { "aria-label": "Role", onchange: narrow }, element("option", { value: "" }, "All roles"),
    ...data.roles.map((style, i) => element("option", { value: String(i) }, printable(style.role))));
  const searched = rows.map((row) =>
    [row.stack, "layer " + row.layer, "expert " + row.expert, row.role, text(row.i, "tensors"), text(row.i, "dtype"), text(row.i, "method")]
      .map((part) => printable(part, Infinity)).join(" ").toLowerCase());

  function narrow() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = role.value === "" ? null : data.roles[Number(role.value)].role;
    table.keep((i) => (only === null || rows[i].role === only) && wanted.every((word) => searched[i].includes(word)));
  }

  const download = element("button", { type: "button", id: "download", onclick: downloadCsv }, "Download CSV");
  host.replaceChildren(element("div", { class: "tools" }, words, role, download), ...table.nodes);
}

// The bytes of the CSV output: the same cells, quoted by the same rule.
function csvText() {
  const quoted = (cellText) => (/[",\r\n]/.test(cellText) ? '"' + cellText.replace(/"/g, '""') + '"' : cellText);
  const names = data.columns.map((column) => column.name);
  // A lone surrogate has no UTF-8; the CSV spells it as an escape too.
  const encodable = (line) => line.replace(/\p{Cs}/gu, (c) => "\\u" + c.charCodeAt(0).toString(16));
  const lines = rows.map((row) => names.map((name) => quoted(text(row.i, name))).join(","));
  return encodable([names.join(","), ...lines, ""].join("\n"));
}

function downloadCsv() {
  const url = URL.createObjectURL(new Blob([csvText()], { type: "text/csv" }));
  element("a", { href: url, download: data.file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The ledger's groups are drawn when they are opened, or printed.
function startLedger() {
  const entry = (name) => (i) => cell(data.ledger, name, i);
  const field = (name, label) => ({ name, label, title: label, numeric: false, show: (i) => printable(entry(name)(i)), key: entry(name) });
  const fields = [
    field("tensor", "Tensor"), field("shape", "Shape"), field("dtype", "Type"),
    { ...field("parameters", "Elements"), numeric: true, show: (i) => grouped(entry("parameters")(i)), key: (i) => Number(entry("parameters")(i)) },
    field("roles", "Roles"), field("detail", "Why"),
  ];
  for (const group of document.querySelectorAll("details[data-status]")) {
    let filled = false;
    const fill = () => {
      if (filled || !group.open) return;
      filled = true;
      const indices = Array.from({ length: data.ledgerCount }, (_, i) => i).filter((i) => entry("status")(i) === group.dataset.status);
      const used = fields.filter((f) => f.numeric || indices.some((i) => f.key(i) !== ""));
      group.querySelector(".ledger").replaceChildren(...pagedTable(`Tensors: ${group.dataset.status}`, used, indices).nodes);
    };
    group.addEventListener("toggle", fill);
    fill();
  }
}
