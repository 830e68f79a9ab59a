// @ts-check
// Draws ready plotly figures: {data, layout} number i goes into the element chart-i.
plotlyStarted();
data.forEach((figure, i) => {
  Plotly.newPlot(`chart-${i}`, figure.data, figure.layout, { responsive: true, displaylogo: false });
});
