"use strict";
// Bytes and times as the text of the page writes them, and names that Plotly must not take for markup.
const format = {
  size(bytes) {
    if (bytes === null || bytes === undefined) return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let value = bytes, unit = 0;
    while (Math.abs(value) >= 1023.95 && unit < units.length - 1) { value /= 1024; unit += 1; }
    return `${value.toFixed(unit ? 1 : 0)} ${units[unit]}`;
  },
  signed(bytes) { return (bytes < 0 ? "−" : "+") + format.size(Math.abs(bytes)); },
  time(seconds) {
    const s = Math.abs(seconds);
    if (s < 10 && s !== Math.round(s)) return `${seconds.toFixed(1)} s`;
    if (s < 60) return `${Math.round(seconds)} s`;
    const whole = Math.round(s), parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const told = [];
    let rest = whole;
    for (const [length, unit] of parts) {
      const count = Math.floor(rest / length);
      if (count) told.push(`${count} ${unit}`);
      rest -= count * length;
    }
    return told.slice(0, 2).join(" ") || "0 s";
  },
  // Plotly reads <b>, <a href> and entities in any label: a name is only ever a name.
  plain(text) { return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); },
  short(text, room) {
    const letters = Array.from(String(text));
    if (letters.length <= room) return letters.join("");
    const tail = Math.floor((room - 1) / 2);
    return letters.slice(0, room - 1 - tail).join("") + "…" + letters.slice(letters.length - tail).join("");
  },
};

const TIME_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

const ticks = {
  of(step, low, high, name) {
    const values = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) values.push(value);
    return { tickmode: "array", tickvals: values, ticktext: values.map(name) };
  },
  time(low, high, most) {
    const step = TIME_STEPS.find((one) => (high - low) / one <= most) || 86400 * Math.ceil((high - low) / 86400 / most);
    return ticks.of(step, low, high, format.time);
  },
  bytes(high) {
    let step = 2 ** Math.floor(Math.log2(Math.max(high, 1024) / 4));
    while (high / step > 5) step *= 2;
    return ticks.of(step, 0, high, (value) => format.size(value).replace(".0 ", " "));
  },
};
