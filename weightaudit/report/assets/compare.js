// @ts-check
if (!window.Plotly) tellNoPlotly();
startTable(window.Plotly && data.profiles.roles.length ? startOverlay() : () => {});
document.documentElement.dataset.ready = "true";
