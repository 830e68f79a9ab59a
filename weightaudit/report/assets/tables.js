// Every matrix, and the ledger.
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
