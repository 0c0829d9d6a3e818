"use strict";
// Memory over time: one picture with several views, and the cells or steps in a lane below it.
const SERIES = ["s1", "s2", "s3", "s4", "s5", "s6", "s7"];

function line(name, points, tone, more) {
  return Object.assign({
    type: "scatter", mode: "lines", name: format.plain(format.short(name, 40)), x: points.x, y: points.y,
    text: points.y.map(format.size), hovertemplate: "%{text}", line: { color: color(tone), width: 2 },
  }, more);
}

// What a snapshot read stands until the next one: nobody knows what was between them.
function read(name, points, tone, more) {
  const few = points.x.length <= 80 ? { mode: "lines+markers", marker: { size: 5 } } : {};
  const { line: style, ...rest } = more || {};
  return line(name, points, tone, { ...few, ...rest, line: { color: color(tone), width: 2, shape: "hv", ...style } });
}

function limitLine(picture, end) {
  const limit = picture.data.limit;
  const highest = Math.max(0, ...picture.data.main.rss.y);
  if (!limit || highest < limit / 2) return [];
  return [line("limit", { x: [0, end], y: [limit, limit] }, "limit", { line: { color: color("limit"), width: 1.5, dash: "dash" } })];
}

// The parts of a whole over each other, and the whole as a line above them.
function stacked(stack, rss, tone) {
  const areas = stack.names.map((name, at) => {
    const { hue, share } = tone(name, at);
    const points = { x: stack.times, y: stack.values[at] };
    return line(name, points, hue, { stackgroup: "parts", line: { color: color(hue), width: 1, shape: "hv" }, fillcolor: faint(hue, share) });
  });
  return [...areas, line("RSS", rss, "text", { line: { color: color("text"), width: 1.5 } })];
}

const FAMILY_HUES = { live: "s1", retained: "s3", native: "s5", program: "s8", unknown: "s7" };

const VIEWS = {
  total(picture) {
    const { main } = picture.data;
    return [
      line("RSS", main.rss, "rss", { fill: "tozeroy", fillcolor: faint("rss", 0.08) }),
      read("live: what named holders keep", main.live, "live", { fill: "tozeroy", fillcolor: faint("live", 0.18) }),
      ...limitLine(picture, span(picture)[1]),
    ].filter((one) => one.x.length);
  },
  holders(picture) {
    const { held, rss } = picture.data.main;
    return stacked(held, rss, (name, at) => ({ hue: SERIES[at] || "s8", share: 0.5 }));
  },
  account(picture) {
    const { account, rss } = picture.data.main;
    const seen = {};
    return stacked(account, rss, (name, at) => {
      const hue = FAMILY_HUES[account.families[at]];
      seen[hue] = (seen[hue] || 0) + 1;
      return { hue, share: Math.max(0.2, 0.8 - 0.15 * (seen[hue] - 1)) };
    });
  },
  executors(picture) {
    return picture.data.main.executors.map((one, at) => read(`executor ${one.name}`, one, SERIES[at % SERIES.length]));
  },
  processes(picture) {
    const { main } = picture.data;
    const others = main.processes.map((one, at) => line(one.name, one, SERIES[(at + 1) % SERIES.length]));
    return [line("this Python process", main.rss, "rss"), ...others];
  },
  contexts(picture) {
    const { main, scripts } = picture.data;
    const each = scripts.flatMap((one, at) => [
      line("script: RSS", ended(one), "script", { legendgroup: "script-rss", showlegend: !at }),
      read("script: live", ended({ ...one, rss: one.live }), "script", { legendgroup: "script-live", showlegend: !at, line: { dash: "dot" } }),
    ]);
    return [
      line("notebook: RSS", main.rss, "rss", { fill: "tozeroy", fillcolor: faint("rss", 0.08) }),
      read("notebook: live", main.live, "rss", { line: { dash: "dot" } }),
      ...each,
    ].filter((one) => one.x.length);
  },
};

// A process that has ended holds nothing: its line goes down to zero there.
function ended(one) {
  if (!one.rss.x.length) return one.rss;
  const last = one.rss.x[one.rss.x.length - 1];
  return { x: [...one.rss.x, last], y: [...one.rss.y, 0] };
}

function span(picture) {
  const all = [picture.data.main, ...picture.data.scripts];
  const ends = all.flatMap((one) => [one.rss.x, one.live.x, one.held.times].map((x) => x[x.length - 1] || 0));
  return [0, Math.max(picture.data.main.wall || 0, ...ends, 0.001)];
}

function lane(picture) {
  const { steps } = picture.data.main;
  const end = span(picture)[1];
  const length = (one) => Math.max((one.end === null ? end : one.end) - one.start, 0);
  const told = (one) => [
    `<b>${format.plain(one.name)}</b>`,
    one.end === null ? "still running" : format.time(length(one)),
    one.error ? `failed: ${format.plain(one.error)}` : "",
    one.change === null ? "" : `RSS ${format.signed(one.change)}`,
    one.peak === null ? "" : `highest ${format.size(one.peak)}`,
  ].filter(Boolean).join("<br>");
  return {
    type: "bar", orientation: "h", yaxis: "y2", showlegend: false, base: steps.map((one) => one.start), x: steps.map(length),
    y: steps.map(() => 0), width: 0.9, hovertext: steps.map(told), hovertemplate: "%{hovertext}<extra></extra>",
    text: steps.map((one) => format.plain(one.name.replace(/^cell /, ""))), textposition: "inside", insidetextanchor: "middle",
    constraintext: "none", textangle: 0, insidetextfont: { color: color("tile-text"), size: 11 }, cliponaxis: true,
    marker: { color: steps.map((one, at) => color(one.error ? "step-failed" : at % 2 ? "step-odd" : "step-even")), line: { width: 0 } },
  };
}

// A number that is wider than its cell would lie over its neighbours.
function roomFor(picture, trace, low, high) {
  const width = (picture.paper || { width: picture.element.clientWidth }).width - 84;
  const perSecond = width / (high - low);
  trace.text = trace.text.map((text, at) => (trace.x[at] * perSecond > 8 + 7 * text.length ? text : ""));
  return trace;
}

function stepsPicture(picture) {
  const { names, notebook, script } = picture.data.steps;
  const told = (label, values, tone) => line(label, { x: names.map(format.plain), y: values }, tone, { mode: "lines+markers", marker: { size: 7 }, connectgaps: false });
  const high = Math.max(1, ...notebook, ...script) * 1.08;
  return {
    traces: [told("notebook, first round", notebook, "rss"), told("script", script, "script")],
    layout: frame({
      hovermode: "x unified",
      xaxis: { fixedrange: true, gridcolor: color("grid"), type: "category", automargin: true },
      yaxis: { fixedrange: true, range: [0, high], gridcolor: color("grid"), zeroline: false, ...ticks.bytes(high) },
    }),
  };
}

// The highest value that is drawn: of parts over each other their sum.
function highest(traces) {
  const sums = [];
  for (const one of traces.filter((each) => each.stackgroup)) one.y.forEach((value, at) => { sums[at] = (sums[at] || 0) + (value || 0); });
  const alone = traces.filter((each) => !each.stackgroup).map((one) => one.y);
  return [sums, ...alone].reduce((most, values) => values.reduce((a, b) => Math.max(a, b || 0), most), 1);
}

function timeline(picture) {
  if (picture.view === "steps") return stepsPicture(picture);
  const traces = VIEWS[picture.view](picture);
  const whole = span(picture);
  const [low, high] = picture.range || whole;
  const top = highest(traces) * 1.06;
  const hasLane = picture.data.main.steps.length > 0;
  if (hasLane) traces.push(roomFor(picture, lane(picture), low, high));
  const most = Math.max(3, Math.floor((picture.paper ? picture.paper.width : picture.element.clientWidth) / 110));
  return {
    traces,
    layout: frame({
      hovermode: "x unified", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", barmode: "overlay",
      xaxis: { range: [low, high], minallowed: whole[0], maxallowed: whole[1], anchor: hasLane ? "y2" : "y", gridcolor: color("grid"), zeroline: false, hoverformat: ".1f", unifiedhovertitle: { text: "" }, ...ticks.time(low, high, most) },
      yaxis: { fixedrange: true, range: [0, top], domain: [hasLane ? 0.13 : 0, 1], gridcolor: color("grid"), zeroline: false, ...ticks.bytes(top) },
      yaxis2: { fixedrange: true, range: [-0.5, 0.5], domain: [0, hasLane ? 0.08 : 0.01], visible: hasLane, showgrid: false, zeroline: false, tickmode: "array", tickvals: [0], ticktext: [picture.data.main.steps.some((one) => one.name.startsWith("cell ")) ? "cells" : "steps"] },
      shapes: picture.data.main.rounds.slice(1).map((one) => ({ type: "line", x0: one.start, x1: one.start, yref: "paper", y0: 0, y1: 1, line: { color: color("muted"), width: 1, dash: "dot" } })),
      annotations: picture.data.main.rounds.map((one) => ({ text: format.plain(one.name), x: one.start, xanchor: "left", y: 1, yref: "paper", yanchor: "top", showarrow: false, font: { size: 11, color: color("muted") } })),
    }),
  };
}

// Zooming by buttons, so that it needs no mouse.
function zoomed(picture, how) {
  const [first, last] = span(picture);
  const [low, high] = picture.range || [first, last];
  const length = high - low, middle = (low + high) / 2;
  const asked = {
    in: [middle - length / 4, middle + length / 4],
    out: [middle - length, middle + length],
    earlier: [low - length / 2, high - length / 2],
    later: [low + length / 2, high + length / 2],
    all: [first, last],
  }[how];
  const wide = Math.min(asked[1] - asked[0], last - first);
  const begin = Math.min(Math.max(asked[0], first), last - wide);
  picture.range = [begin, begin + wide];
  return picture.draw();
}
