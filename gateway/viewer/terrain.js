// A chunk's ground as a picture, drawn once: a mosaic of small stones, laid with a little unevenness.

import { CHUNK } from "./world.js";

export const CELL = 16;  // Pixels a cell in the picture; enough for twice the usual zoom.

const DARK = {
  ".": [[38, 12, 20], [36, 13, 21], [40, 11, 19]],
  "#": [[30, 10, 47], [28, 12, 52], [34, 9, 43]],
  "~": [[196, 38, 27], [192, 42, 31], [200, 36, 25]],
  grout: "#14130f",
};
const LIGHT = {
  ".": [[42, 32, 85], [40, 34, 86], [40, 30, 84]],
  "#": [[30, 12, 50], [28, 14, 55], [34, 10, 46]],
  "~": [[194, 40, 66], [190, 44, 70], [198, 38, 62]],
  grout: "#d9d2c2",
};

export function palette(dark) { return dark ? DARK : LIGHT; }

export function paintTerrain(chunk, dark) {
  const colours = palette(dark);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = CHUNK * CELL;
  const pen = canvas.getContext("2d", { alpha: false });
  pen.fillStyle = colours.grout;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (let y = 0; y < CHUNK; y++) {
    for (let x = 0; x < CHUNK; x++) paintCell(pen, chunk, x, y, colours);
  }
  return canvas;
}

// Four stones a cell. Their shades follow from the world's coordinates: the same in every visit.
function paintCell(pen, chunk, x, y, colours) {
  const kind = chunk.terrain[y][x];
  const stone = CELL / 2;
  for (let part = 0; part < 4; part++) {
    const chance = scatter(chunk.cx * CHUNK + x, chunk.cy * CHUNK + y, part);
    const shades = colours[kind] ?? colours["."];
    const [hue, saturation, light] = shades[chance % shades.length];
    pen.fillStyle = `hsl(${hue} ${saturation}% ${light + ((chance >> 4) % 5 - 2) * 0.7}%)`;
    const uneven = ((chance >> 8) % 3) / 4;
    pen.fillRect(x * CELL + (part & 1) * stone + uneven, y * CELL + (part >> 1) * stone + uneven, stone - 0.8, stone - 0.8);
  }
  if (kind === "#" && chunk.terrain[y + 1]?.[x] !== "#") {
    pen.fillStyle = "rgb(0 0 0 / 28%)";
    pen.fillRect(x * CELL, (y + 1) * CELL - 4, CELL, 4);
  }
}

function scatter(x, y, part) {
  let hash = Math.imul(x, 374761393) ^ Math.imul(y, 668265263) ^ Math.imul(part + 1, 2246822519);
  hash = Math.imul(hash ^ (hash >>> 13), 1274126177);
  return (hash ^ (hash >>> 16)) >>> 0;
}
