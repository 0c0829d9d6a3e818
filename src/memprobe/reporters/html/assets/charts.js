"use strict";
// What all pictures share: colours of the page, one frame, drawn again for another theme or paper.
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function faint(name, share) {
  const hex = color(name).slice(1);
  const part = (at) => parseInt(hex.slice(at, at + 2), 16);
  return `rgba(${part(0)},${part(2)},${part(4)},${share})`;
}

const CONFIG = { displayModeBar: false, displaylogo: false, responsive: true, showTips: false, doubleClick: "reset" };

function frame(extra) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("muted") };
  return Object.assign({
    font,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 72, r: 12, t: 8, b: 32 },
    hoverlabel: { bgcolor: color("surface"), bordercolor: color("line"), font: { ...font, color: color("text") }, align: "left", namelength: -1 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { ...font, color: color("text") } },
    showlegend: true,
  }, extra);
}

class Picture {
  constructor(element, data, build) {
    this.element = element;
    this.data = data;
    this.build = build;
    this.drawn = false;
  }
  draw() {
    const { traces, layout } = this.build(this);
    Object.assign(layout, this.paper);
    const done = this.drawn
      ? Plotly.react(this.element, traces, layout, CONFIG)
      : Plotly.newPlot(this.element, traces, layout, CONFIG);
    this.drawn = true;
    return done;
  }
}
