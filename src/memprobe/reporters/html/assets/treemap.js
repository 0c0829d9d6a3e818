"use strict";
// Who holds what: a tile per holder, its area what the holder keeps alone.
function treemap(picture) {
  const rows = picture.data.treemap;
  const roots = [...new Set(rows.map((one) => one.root))];
  const sum = (list) => list.reduce((total, one) => total + one.bytes, 0);
  const of = (name) => rows.filter((one) => one.root === name);
  const label = (one) => [
    `<b>${format.plain(format.short(one.label, 28))}</b>${one.more ? ` +${one.more}` : ""}`,
    format.size(one.bytes),
    one.code ? `${format.plain(one.code)} ${one.status}` : "",
  ].filter(Boolean).join("<br>");
  const hover = (one) => `<b>${format.plain(format.short(one.label, 60))}</b><br>${format.plain(`${one.type} ${one.extent}`)}<br>${format.size(one.bytes)} alone`;
  const chosen = picture.chosen;
  return {
    traces: [{
      type: "treemap", branchvalues: "total", sort: true,
      ids: ["all", ...roots.map((name) => `root ${name}`), ...rows.map((one) => `row ${one.row}`)],
      labels: ["", ...roots.map(format.plain), ...rows.map((one) => format.plain(one.label))],
      parents: ["", ...roots.map(() => "all"), ...rows.map((one) => `root ${one.root}`)],
      values: [sum(rows), ...roots.map((name) => sum(of(name))), ...rows.map((one) => one.bytes)],
      text: ["", ...roots.map((name) => `${format.plain(name)} · ${format.size(sum(of(name)))}`), ...rows.map(label)],
      hovertext: ["", ...roots.map((name) => `${format.plain(name)}: ${format.size(sum(of(name)))}`), ...rows.map(hover)],
      customdata: [-1, ...roots.map(() => -1), ...rows.map((one) => one.row)],
      textinfo: "text", hoverinfo: "text", textposition: "top left",
      textfont: { color: color("tile-text"), size: 13 },
      pathbar: { visible: false }, tiling: { pad: 3, packing: "squarify" },
      marker: {
        colors: [color("surface"), ...roots.map(() => color("raised")), ...rows.map((one) => color(`tile-${one.status}`))],
        line: {
          width: [0, ...roots.map(() => 0), ...rows.map((one) => (one.row === chosen ? 3 : 1))],
          color: [color("surface"), ...roots.map(() => color("surface")), ...rows.map((one) => (one.row === chosen ? color("accent") : color("tile-line")))],
        },
        pad: { t: 24, l: 4, r: 4, b: 4 }, cornerradius: 4,
      },
      root: { color: "rgba(0,0,0,0)" },
    }],
    layout: frame({ margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, uniformtext: { minsize: 11, mode: "hide" } }),
  };
}

function choose(article, row) {
  for (const detail of article.querySelectorAll(".holder-detail")) detail.hidden = detail.id !== `${article.id}-holder-${row}`;
  for (const button of article.querySelectorAll(".pick")) {
    const mine = Number(button.dataset.row) === row;
    button.setAttribute("aria-pressed", String(mine));
    button.closest("tr").classList.toggle("picked", mine);
  }
}
