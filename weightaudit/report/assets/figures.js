// Draws ready plotly figures: {data, layout} number i goes into the element chart-i.
plotlyStarted();
const figures = JSON.parse(document.getElementById('data').textContent);
figures.forEach(function (figure, i) {
  Plotly.newPlot('chart-' + i, figure.data, figure.layout, { responsive: true, displaylogo: false });
});
