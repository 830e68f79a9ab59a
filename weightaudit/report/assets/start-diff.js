// @ts-check
startAddresses(startChanges());
drawInSight(() => {
  startHeat();
  startSpectrum();
});
document.documentElement.dataset.ready = "true";
