// Small pictures that are drawn often: an agent's tile, a name. Made once, then only copied;
// text is by far the most expensive thing that a canvas does.

const FONT = "system-ui, sans-serif";
const NAME_FONT = `500 12px ${FONT}`;
const KEPT_MAX = 3000;          // Then all are made anew: more than that are not seen at a time.
const STEP = 1.2;               // Tiles are made in sizes this far apart, and scaled in between.

export class Sprites {
  constructor() {
    this.ratio = 1;
    this.dark = true;
    this.kept = new Map();
  }

  begin(ratio, dark) {
    if (ratio === this.ratio && dark === this.dark && this.kept.size < KEPT_MAX) return;
    this.ratio = ratio;
    this.dark = dark;
    this.kept.clear();
  }

  // {canvas, width, height}, to be drawn `size` wide; the tile is in the middle, with its shadow.
  tile(agent, size) {
    const made = Math.ceil(STEP ** Math.ceil(Math.log(size) / Math.log(STEP)));
    const letter = size < 11 ? "" : [...agent.name][0].toUpperCase();
    return this.#made(`${colourOf(agent.id)} ${letter} ${made}`, made * 1.5, made * 1.5, (pen) => {
      const edge = made * 0.25;
      pen.fillStyle = "rgb(0 0 0 / 38%)";
      square(pen, edge + made * 0.04, edge + made * 0.14, made);
      pen.fillStyle = colourOf(agent.id);
      square(pen, edge, edge, made);
      pen.fillStyle = "rgb(255 255 255 / 22%)";
      square(pen, edge, edge, made, made * 0.12);
      pen.fillStyle = "rgb(0 0 0 / 75%)";
      pen.font = `600 ${made * 0.6}px ${FONT}`;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(letter, edge + made / 2, edge + made * 0.54);
    });
  }

  name(text) {
    const key = `name ${text}`;
    const kept = this.kept.get(key);
    if (kept) return kept;
    ruler.font = NAME_FONT;
    const width = Math.ceil(ruler.measureText(text).width) + 8;
    return this.#made(key, width, 20, (pen) => {
      pen.font = NAME_FONT;
      pen.textAlign = "center";
      pen.textBaseline = "top";
      pen.lineJoin = "round";
      pen.lineWidth = 3;
      pen.strokeStyle = this.dark ? "rgb(12 13 16 / 85%)" : "rgb(250 247 240 / 90%)";
      pen.fillStyle = this.dark ? "#f2efe8" : "#24221d";
      pen.strokeText(text, width / 2, 2);
      pen.fillText(text, width / 2, 2);
    });
  }

  #made(key, width, height, draw) {
    let sprite = this.kept.get(key);
    if (!sprite) {
      const canvas = document.createElement("canvas");
      canvas.width = Math.ceil(width * this.ratio);
      canvas.height = Math.ceil(height * this.ratio);
      const pen = canvas.getContext("2d");
      pen.scale(this.ratio, this.ratio);
      draw(pen);
      sprite = { canvas, width, height };
      this.kept.set(key, sprite);
    }
    return sprite;
  }
}

const ruler = document.createElement("canvas").getContext("2d");
const colours = new Map();

// A colour that is the agent's own, bright enough on every ground.
export function colourOf(id) {
  let colour = colours.get(id);
  if (!colour) {
    let hash = 0;
    for (const letter of id) hash = (Math.imul(hash, 31) + letter.codePointAt(0)) >>> 0;
    colour = `hsl(${(hash % 36) * 10} 72% ${62 + (hash >> 8) % 3 * 5}%)`;
    if (colours.size >= KEPT_MAX) colours.clear();
    colours.set(id, colour);
  }
  return colour;
}

function square(pen, x, y, size, height = size) {
  pen.beginPath();
  pen.roundRect(x, y, size, height, Math.min(size * 0.28, height));
  pen.fill();
}
