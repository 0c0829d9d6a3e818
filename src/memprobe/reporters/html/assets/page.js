"use strict";
// Brings the page to life: draws what is in the data, and answers keys, clicks, themes and paper.
(() => {
  const data = JSON.parse(document.getElementById("memprobe-data").textContent);
  const builders = { timeline, treemap, spark: sparkStorage };
  const pictures = [];

  const pictureOf = (article, kind) => pictures.find((one) => one.element.dataset.article === article && one.element.dataset.chart === kind);
  const drawAll = () => Promise.all(pictures.map((one) => one.draw()));

  function bindTimeline(picture) {
    const article = document.getElementById(picture.element.dataset.article);
    picture.view = picture.data.views[0].key;
    const tabs = [...article.querySelectorAll("[role=tab]")];
    const show = (tab) => {
      for (const one of tabs) {
        one.setAttribute("aria-selected", String(one === tab));
        one.tabIndex = one === tab ? 0 : -1;
      }
      document.getElementById(`${article.id}-chart`).setAttribute("aria-labelledby", tab.id);
      picture.view = tab.dataset.view;
      picture.draw();
    };
    for (const tab of tabs) {
      tab.addEventListener("click", () => show(tab));
      tab.addEventListener("keydown", (event) => {
        const at = tabs.indexOf(tab);
        const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        const next = tabs[(to + tabs.length) % tabs.length];
        next.focus();
        show(next);
      });
    }
    for (const button of article.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoomed(picture, button.dataset.zoom));
    picture.element.on("plotly_relayout", (change) => {
      if (picture.view === "steps") return;
      const asked = change["xaxis.range[0]"] !== undefined ? [change["xaxis.range[0]"], change["xaxis.range[1]"]] : change["xaxis.range"];
      if (!asked && !change["xaxis.autorange"]) return;
      picture.range = asked || null;
      picture.draw();
    });
    picture.element.on("plotly_doubleclick", () => zoomed(picture, "all"));
  }

  function pick(article, row) {
    choose(document.getElementById(article), row);
    const picture = pictureOf(article, "treemap");
    if (picture) { picture.chosen = row; picture.draw(); }
  }

  function bindTreemap(picture) {
    picture.element.on("plotly_treemapclick", (event) => {
      const row = event.points[0].customdata;
      if (row >= 0) pick(picture.element.dataset.article, row);
      return false; // a click chooses, it does not zoom
    });
  }

  function openTarget() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  }

  const PAPER = { timeline: [650, 330], treemap: [650, 300] }; // CSS pixels; heights as in the style sheet

  // The page is laid out for paper only after this: the pictures cannot measure their room yet.
  function forPaper(on) {
    document.documentElement.classList.toggle("printing", on);
    for (const one of document.querySelectorAll("details")) if (on) one.open = true;
    for (const one of pictures) {
      const [width, height] = PAPER[one.element.dataset.chart] || [650, one.element.clientHeight];
      one.paper = on ? { width, height, autosize: false } : null;
      one.draw();
    }
  }

  async function begin() {
    for (const element of document.querySelectorAll("[data-chart]")) {
      pictures.push(new Picture(element, data[element.dataset.article], builders[element.dataset.chart]));
    }
    for (const picture of pictures) {
      const kind = picture.element.dataset.chart;
      if (kind === "timeline") picture.view = picture.data.views[0].key;
      if (kind === "treemap") picture.chosen = picture.data.treemap[0].row;
      await picture.draw();
      if (kind === "timeline") bindTimeline(picture);
      if (kind === "treemap") bindTreemap(picture);
    }
    for (const button of document.querySelectorAll(".pick")) {
      button.addEventListener("click", () => pick(button.dataset.article, Number(button.dataset.row)));
    }
    for (const article of document.querySelectorAll("article")) choose(article, 0);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    addEventListener("beforeprint", () => forPaper(true));
    addEventListener("afterprint", () => forPaper(false));
    addEventListener("hashchange", openTarget);
    openTarget();
    document.documentElement.dataset.ready = "yes";
  }
  begin();
})();
