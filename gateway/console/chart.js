// A small chart: one line over the last minutes, the newest at the right. In words, too.

import { KEPT } from "./samples.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100, HEIGHT = 30;

// `values`, the oldest first, null where there is none; `top` is what the full height stands for.
// `limit`: a dashed line there, when it is in sight.
export function chart(values, top, words, limit) {
  const svg = piece("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words });
  svg.append(piece("path", { class: "base", d: `M0 ${HEIGHT}H${WIDTH}` }));
  if (limit !== undefined && limit <= top) svg.append(piece("path", { class: "limit", d: `M0 ${y(limit, top)}H${WIDTH}` }));
  for (const run of runs(values)) {
    const line = run.map(({ at, value }, place) => `${place ? "L" : "M"}${x(at, values.length)} ${y(value, top)}`).join("");
    const [first, last] = [run[0], run.at(-1)].map(({ at }) => x(at, values.length));
    svg.append(piece("path", { class: "under", d: `${line}L${last} ${HEIGHT}L${first} ${HEIGHT}Z` }));
    svg.append(piece("path", { class: "line", d: run.length > 1 ? line : `${line}h0.8` }));
  }
  return svg;
}

// The stretches of `values` without a hole in them.
export function runs(values) {
  const found = [];
  let open = false;
  values.forEach((value, at) => {
    if (value === null || value === undefined) { open = false; return; }
    if (!open) found.push([]);
    open = true;
    found.at(-1).push({ at, value });
  });
  return found;
}

function x(at, count) { return +((at + KEPT - count) / (KEPT - 1) * WIDTH).toFixed(2); }
function y(value, top) { return +(HEIGHT - Math.min(1, value / top) * (HEIGHT - 2)).toFixed(2); }

function piece(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
