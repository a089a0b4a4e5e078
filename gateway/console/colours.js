// The colour of a slot, the same in the list, on the map and in the charts, by day and by night.
// Neighbouring numbers get hues that are far apart (the golden angle).

const dark = matchMedia("(prefers-color-scheme: dark)");

export function colourOf(slot) {
  const hue = (40 + slot * 137.508) % 360;
  return dark.matches ? `hsl(${hue.toFixed(1)} 52% 62%)` : `hsl(${hue.toFixed(1)} 58% 40%)`;
}

// What is written on it; where it is faint, as the page's other text.
export function inkOn(isFull) { return dark.matches === isFull ? "#101216" : "#ffffff"; }

// Call `changed` when the colours are others.
export function watchColours(changed) { dark.addEventListener("change", changed); }
