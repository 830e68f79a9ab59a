// @ts-check
const matrices = startLayers();
startCoverage();
startAddresses(matrices);
drawInSight(() => {
  startPlots();
  startSpectra();
});
document.documentElement.dataset.ready = "true";
