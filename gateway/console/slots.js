// The slots, one card each: who has it, how much, how late its ticks are; and a button to drain it.
// Cards stay the same elements, so that a button keeps the focus. `on`: {drain(slot, shard)}.

import { chart } from "./chart.js";
import { colourOf } from "./colours.js";
import { byId, make, shown } from "./elements.js";
import { peak } from "./samples.js";

const TICK_MS = 200;
const LATE_MS_LEAST = 20;       // What a chart shows at least: a few milliseconds are no mountain.
const WAITING_LEAST = 100;      // Messages: fewer are there at any moment of a world at work.
const WORDS = { held: "held", free: "nobody holds it", draining: "draining", leaving: "leaving", moving: "handing over" };

export function stateOf(slot) {
  if (slot.shard === null) return "free";
  if (slot.draining) return "draining";
  if (!slot.in_force) return "leaving";
  return slot.leaving ? "moving" : "held";
}

export class Slots {
  constructor(on) {
    this.on = on;
    this.cards = new Map();     // slot -> the parts of its card.
  }

  show({ slots }, samples) {
    const there = new Set(slots.map(({ slot }) => slot));
    for (const [slot, card] of this.cards) if (!there.has(slot)) { card.item.remove(); this.cards.delete(slot); }
    const tops = { agents: peak(samples, "agents", 5), late: peak(samples, "late", LATE_MS_LEAST) };
    slots.forEach((slot, place) => {
      const card = this.cards.get(slot.slot) ?? this.#card(slot.slot);
      if (byId("slots").children[place] !== card.item) byId("slots").insertBefore(card.item, byId("slots").children[place] ?? null);
      this.#fill(card, slot, samples, tops);
    });
  }

  #card(number) {
    const card = {
      badge: make("span", { class: "badge" }), shard: make("div", { class: "shard" }),
      drain: make("button", { class: "plain", type: "button", text: "Drain", "aria-label": `Drain the shard of slot ${number}` }),
      agents: gauge("Agents"), late: gauge("Tick lateness, p99"),
    };
    const top = make("div", { class: "top" }, make("h3", { text: `Slot ${number}` }), card.badge, card.drain);
    card.item = make("li", { class: "slot", "data-slot": number }, top, card.shard, make("div", { class: "pair" }, card.agents.box, card.late.box));
    card.drain.addEventListener("click", () => this.on.drain(number, card.holder));
    this.cards.set(number, card);
    return card;
  }

  #fill(card, slot, samples, tops) {
    const state = stateOf(slot);
    card.holder = slot.shard;
    card.item.dataset.state = state;
    card.item.style.setProperty("--slot", colourOf(slot.slot));
    card.badge.textContent = WORDS[state];
    card.drain.disabled = slot.shard === null || slot.draining;
    card.shard.textContent = slot.shard ?? "no shard";
    card.shard.title = slot.shard ?? "";
    const more = [`${shown(slot.chunks)} chunks`];
    if (slot.leaving) more.push(`${slot.leaving} to hand over`);
    if (slot.waiting >= WAITING_LEAST) more.push(`${slot.waiting} messages wait`);
    fill(card.agents, shown(slot.agents), more.join(" · "), samples.of(slot.slot, "agents"), tops.agents, `Agents in slot ${slot.slot}`);
    const late = slot.lateness_p99_ms;
    fill(card.late, late === null ? "–" : `${shown(late, late < 10 ? 1 : 0)} ms`, `p50 ${shown(slot.lateness_p50_ms, 1)} ms`,
      samples.of(slot.slot, "late"), tops.late, `Tick lateness of slot ${slot.slot} in milliseconds`, TICK_MS);
  }
}

function gauge(name) {
  const parts = { number: make("b"), more: make("small"), place: make("dd") };
  parts.box = make("dl", { class: "gauge" }, make("dt", { text: name }), make("dd", {}, parts.number, " ", parts.more), parts.place);
  return parts;
}

function fill(parts, number, more, values, top, name, limit) {
  parts.number.textContent = number;
  parts.more.textContent = more;
  const known = values.filter((value) => value !== null && value !== undefined);
  const words = known.length ? `${name}: now ${shown(known.at(-1), 1)}, at most ${shown(Math.max(...known), 1)} in the last minutes` : `${name}: not known yet`;
  parts.place.replaceChildren(chart(values, top, words, limit));
}
