startLayers();
startLedger();
startPlots();
document.documentElement.dataset.ready = "true";
