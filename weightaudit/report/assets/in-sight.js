// @ts-check
/**
 * The page stands and can be read; its plots come into the room kept for them once the first is half a screen's height
 * away.
 * @param {() => void} draw
 */
function drawInSight(draw) {
  const figures = [...document.querySelectorAll("figure")];
  let drawn = false;

  function drawPlots() {
    if (drawn) return;
    drawn = true;
    if (plotlyStarted()) draw();
    else tellNoPlotly();
  }

  /** @param {Element} node */
  function near(node) {
    const { top, bottom } = node.getBoundingClientRect();
    return top < 1.5 * window.innerHeight && bottom > -window.innerHeight / 2;
  }

  window.addEventListener("load", () => {
    if (figures.some(near)) {
      drawPlots();
      return;
    }
    const coming = new IntersectionObserver(
      (seen) => {
        if (!seen.some((one) => one.isIntersecting)) return;
        coming.disconnect();
        drawPlots();
      },
      { rootMargin: "50% 0px" },
    );
    for (const node of figures) coming.observe(node);
  });
  window.addEventListener("beforeprint", drawPlots);
}
