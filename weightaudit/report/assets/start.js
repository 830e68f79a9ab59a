// @ts-check
const matrices = startLayers();
startCoverage();
startCards();
startScales();
startCopying();
startExporting();
startAddresses(matrices);
startSections();
drawInSight(() => {
  startPlots();
  startSpectra();
  startHeads();
});
document.documentElement.dataset.ready = "true";
