startLayers();
startLedger();
startPlots();
startSpectra();
document.documentElement.dataset.ready = "true";
