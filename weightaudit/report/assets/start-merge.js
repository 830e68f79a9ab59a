// @ts-check
startWeights();
drawInSight(() => {
  startMeetings();
  startPlane();
});
document.documentElement.dataset.ready = "true";
