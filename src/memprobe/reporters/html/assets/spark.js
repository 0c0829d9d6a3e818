"use strict";
// Spark storage memory: a bar per executor, a part per cache, and how much there is at most.
function sparkStorage(picture) {
  const { executors, segments, max } = picture.data[picture.element.dataset.source];
  const names = executors.map((one) => `executor ${format.plain(one)}`);
  const bars = segments.map((one, at) => ({
    type: "bar", orientation: "h", name: format.plain(format.short(one.name, 40)), y: names, x: one.values,
    marker: { color: color(one.name === "other storage" ? "s8" : SERIES[at % SERIES.length]) },
    text: one.values.map((value) => (value ? format.size(value) : "")), textposition: "none",
    hovertemplate: "%{text}",
  }));
  const used = names.map((_, at) => segments.reduce((total, one) => total + one.values[at], 0));
  const full = max.map((one, at) => (one === null ? null : Math.max(0, one - used[at])));
  const free = { type: "bar", orientation: "h", name: "free", y: names, x: full, marker: { color: color("raised"), line: { color: color("line"), width: 1 } }, text: full.map(format.size), textposition: "none", hovertemplate: "%{text}" };
  const high = Math.max(1, ...names.map((_, at) => Math.max(used[at], max[at] || 0)));
  return {
    traces: full.some((one) => one !== null) ? [...bars, free] : bars,
    layout: frame({
      barmode: "stack", hovermode: "y unified", margin: { l: 8, r: 16, t: 8, b: 32 }, bargap: 0.35,
      xaxis: { fixedrange: true, range: [0, high], gridcolor: color("grid"), ...ticks.bytes(high) },
      yaxis: { fixedrange: true, automargin: true, autorange: "reversed", tickfont: { color: color("text") } },
    }),
  };
}
