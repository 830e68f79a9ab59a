// @ts-check
// The bytes of the CSV output: the same cells, quoted by the same rule.
function csvText() {
  /** @param {string} cellText */
  const quoted = (cellText) => (/[",\r\n]/.test(cellText) ? '"' + cellText.replace(/"/g, '""') + '"' : cellText);
  const names = data.columns.map((column) => column.name);
  /**
   * A lone surrogate has no UTF-8; the CSV spells it as an escape too.
   * @param {string} line
   */
  const encodable = (line) => line.replace(/\p{Cs}/gu, (c) => "\\u" + c.charCodeAt(0).toString(16));
  const lines = rows.map((row) => names.map((name) => quoted(text(row.i, name))).join(","));
  return encodable([names.join(","), ...lines, ""].join("\n"));
}

const downloadCsv = () => save(data.file, "text/csv", csvText());
