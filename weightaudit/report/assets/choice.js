// @ts-check
/**
 * A list of `known` rows to choose one from, and buttons that step through it; the chosen one is drawn, again where the
 * theme changes.
 * @param {HTMLElement} host
 * @param {Row[]} known
 * @param {(row: Row) => string} words
 * @param {number} first where the choice begins
 * @param {(row: Row, theme: Theme) => void} draw
 */
function chooseRow(host, known, words, first, draw) {
  /** @param {Theme} theme */
  const drawChosen = (theme) => draw(known[Number(choice.value)], theme);
  const choice = element(
    "select",
    { "aria-label": "Matrix", onchange: () => drawChosen(currentTheme()) },
    ...known.map((row, at) => element("option", { value: String(at) }, words(row))),
  );
  /** @param {number} by */
  const step = (by) => {
    choice.value = String((Number(choice.value) + by + known.length) % known.length);
    drawChosen(currentTheme());
  };
  host.append(
    element("button", { type: "button", "aria-label": "Previous matrix", onclick: () => step(-1) }, "‹"),
    choice,
    element("button", { type: "button", "aria-label": "Next matrix", onclick: () => step(1) }, "›"),
  );
  choice.value = String(first);
  onTheme(drawChosen);
}
