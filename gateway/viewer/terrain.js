// A chunk's ground as a picture, painted once: a mosaic of small stones, laid with a little
// unevenness. Painted pixel by pixel, which takes a few milliseconds; a thousand of fills took twenty.

import { CHUNK } from "./world.js";

const DARK = {
  ".": [[38, 12, 20], [36, 13, 21], [40, 11, 19]],
  "#": [[30, 10, 47], [28, 12, 52], [34, 9, 43]],
  "~": [[196, 38, 27], [192, 42, 31], [200, 36, 25]],
  grout: [48, 14, 7],
};
const LIGHT = {
  ".": [[42, 32, 85], [40, 34, 86], [40, 30, 84]],
  "#": [[30, 12, 50], [28, 14, 55], [34, 10, 46]],
  "~": [[194, 40, 66], [190, 44, 70], [198, 38, 62]],
  grout: [42, 23, 81],
};
const LIGHTNESSES = [-1.4, -0.7, 0, 0.7, 1.4];
const UNEVEN = [0, 0.25, 0.5];  // How much of a pixel a stone lies too far right and down.
const GAP = 0.8;                // Pixels of grout between two stones.
const FOOT = 0.72;              // Light that is left at the foot of a wall.
const SMALL = 4;                // A stone of fewer pixels has no gaps around it,
const GROUT_IN_SMALL = 0.28;    // but is so much darker for them.

const mixed = { true: mix(DARK), false: mix(LIGHT) };

export function groutOf(dark) { return `rgb(${mixed[dark].grout.join(" ")})`; }

// The colour of a kind of cell, seen from far away.
export function colourOfGround(kind, dark) { return `rgb(${(mixed[dark].far[kind] ?? mixed[dark].far["."]).join(" ")})`; }

// `cell`: pixels a cell, an even number.
export function paintTerrain(chunk, dark, cell) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = CHUNK * cell;
  const pen = canvas.getContext("2d", { alpha: false });
  const image = pen.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0; y < CHUNK; y++) {
    for (let x = 0; x < CHUNK; x++) paintCell(pixels, chunk, x, y, mixed[dark], cell);
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Four stones a cell. Their shades follow from the world's coordinates: the same in every visit.
function paintCell(pixels, chunk, x, y, colours, cell) {
  const kind = chunk.terrain[y][x];
  const isEdge = kind === "#" && chunk.terrain[y + 1]?.[x] !== "#";
  const size = cell / 2;
  const stones = (size < SMALL ? colours.small : colours.large)[kind] ?? colours.large["."];
  for (let part = 0; part < 4; part++) {
    const chance = scatter(chunk.cx * CHUNK + x, chunk.cy * CHUNK + y, part);
    const shade = (chance % 3) * LIGHTNESSES.length + ((chance >>> 4) % LIGHTNESSES.length);
    const stone = stones[shade * UNEVEN.length + ((chance >>> 8) % UNEVEN.length)];
    const first = (y * cell + (part >> 1) * size) * CHUNK * cell + x * cell + (part & 1) * size;
    paintStone(pixels, first, CHUNK * cell, size, stone, isEdge && part > 1);
  }
}

function paintStone(pixels, first, width, size, stone, isFoot) {
  for (let row = 0; row < size; row++) {
    const body = isFoot && row >= size / 2 ? stone.foot : stone.body;
    const start = first + row * width, end = start + size - 1;
    if (row === size - 1) pixels.fill(stone.far, start, end + 1);
    else {
      pixels.fill(row ? body : stone.near, start, end);
      pixels[start] = stone.near;
      pixels[end] = stone.far;
    }
  }
}

// Every stone there can be: kind -> a list by shade and unevenness, in packed colours.
function mix(palette) {
  const grout = toRgb(...palette.grout);
  const colours = { grout, far: {}, large: {}, small: {} };
  for (const kind of [".", "#", "~"]) {
    const shades = palette[kind].flatMap(([hue, saturation, light]) =>
      LIGHTNESSES.map((step) => toRgb(hue, saturation, light + step)));
    colours.far[kind] = between(toRgb(...palette[kind][0]), grout, GROUT_IN_SMALL);
    colours.large[kind] = shades.flatMap((shade) => UNEVEN.map((uneven) => ({
      body: packed(shade), foot: packed(shade, FOOT),
      near: packed(between(shade, grout, uneven)), far: packed(between(shade, grout, GAP - uneven)),
    })));
    colours.small[kind] = shades.flatMap((shade) => UNEVEN.map(() => {
      const body = packed(between(shade, grout, GROUT_IN_SMALL));
      return { body, foot: packed(between(shade, grout, GROUT_IN_SMALL), FOOT), near: body, far: body };
    }));
  }
  return colours;
}

function toRgb(hue, saturation, light) {
  const s = saturation / 100, l = light / 100;
  return [0, 8, 4].map((part) => {
    const k = (part + hue / 30) % 12;
    return 255 * (l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  });
}

function between(a, b, part) { return a.map((value, index) => value + (b[index] - value) * part); }

// As pixels lie in memory on every machine that runs browsers: little-endian, alpha last.
function packed(colour, light = 1) {
  const [r, g, b] = colour.map((part) => Math.round(part * light));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

function scatter(x, y, part) {
  let hash = Math.imul(x, 374761393) ^ Math.imul(y, 668265263) ^ Math.imul(part + 1, 2246822519);
  hash = Math.imul(hash ^ (hash >>> 13), 1274126177);
  return (hash ^ (hash >>> 16)) >>> 0;
}
