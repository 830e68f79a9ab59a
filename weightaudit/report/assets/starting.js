// @ts-check
// plotly.js lies in the page as text: it takes longer to start than everything else, so it is not run before there is
// something to draw. The page's policy names it by its hash. False where it was to lie beside the page, and does not.
function plotlyStarted() {
  const kept = document.getElementById("plotly");
  if (!window.Plotly && kept) {
    const script = document.createElement("script");
    script.textContent = kept.textContent;
    document.head.append(script);
    script.remove();
  }
  return Boolean(window.Plotly);
}
