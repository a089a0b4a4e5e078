// Short words for what every part of the page does with elements. Text is only ever text.

export const byId = (id) => document.getElementById(id);

// An element with attributes (`text` is its text) and children.
export function make(name, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

// A number as a person reads it; a dash when nobody said.
export function shown(number, digits = 0) {
  return number === null || number === undefined ? "–" : number.toLocaleString("en", { maximumFractionDigits: digits });
}
