const matrices = startLayers();
startLedger();
if (window.Plotly) {
  startPlots();
  startSpectra();
} else {
  tellNoPlotly();
}
startAddresses(matrices);
document.documentElement.dataset.ready = "true";
