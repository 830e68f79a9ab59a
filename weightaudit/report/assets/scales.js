// @ts-check
// Linear or logarithmic, for each number that is drawn by layer: chosen once for the cards and its chart, for as long as
// the page is open.
const scaleOf = new Map(data.lines.map((figure) => [figure.id, figure.scale]));

/** @type {((figure: string) => void)[]} */
const scaleListeners = [];
/**
 * Have `redraw` hear of a figure whose scale was chosen.
 * @param {(figure: string) => void} redraw
 */
const onScale = (redraw) => scaleListeners.push(redraw);

function startScales() {
  /** @type {NodeListOf<HTMLElement>} */
  const groups = document.querySelectorAll("[data-scale-of]");

  /**
   * @param {string} figure
   * @param {string} scale
   */
  function choose(figure, scale) {
    scaleOf.set(figure, scale);
    for (const group of groups) {
      if (group.dataset.scaleOf !== figure) continue;
      for (const button of group.querySelectorAll("button"))
        button.setAttribute("aria-pressed", String(button.dataset.scale === scale));
    }
    /** @type {NodeListOf<HTMLElement>} */
    const drawings = document.querySelectorAll(`[data-figure="${figure}"] > .scaled`);
    for (const drawing of drawings) drawing.classList.toggle("off", drawing.dataset.scale !== scale);
    for (const redraw of scaleListeners) redraw(figure);
  }

  for (const group of groups) {
    for (const button of group.querySelectorAll("button"))
      button.addEventListener("click", () => choose(group.dataset.scaleOf ?? "", button.dataset.scale ?? ""));
  }
}
