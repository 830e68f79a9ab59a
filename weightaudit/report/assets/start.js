const matrices = startLayers();
startLedger();
startAddresses(matrices);
// The page stands and can be read; its plots come into the room kept for them.
window.addEventListener("load", () => {
  if (window.Plotly) {
    startPlots();
    startSpectra();
  } else {
    tellNoPlotly();
  }
});
document.documentElement.dataset.ready = "true";
