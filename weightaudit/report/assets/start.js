startLayers();
startLedger();
if (window.Plotly) {
  startPlots();
  startSpectra();
} else {
  tellNoPlotly();
}
document.documentElement.dataset.ready = "true";
