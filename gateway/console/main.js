// The operators' page: looks at the topology, the chunks and the audit log as long as somebody
// looks at the page, and asks for what is clicked. Each look is a row of the audit log, so it looks
// no more often than a person does. Here the parts are only put together.

import { call } from "./api.js";
import { Audit } from "./audit.js";
import { watchColours } from "./colours.js";
import { confirmed } from "./confirm.js";
import { byId } from "./elements.js";
import { Login } from "./login.js";
import { ChunkMap } from "./map.js";
import { showProcesses } from "./processes.js";
import { Reshard } from "./reshard.js";
import { Samples } from "./samples.js";
import { Slots } from "./slots.js";

const LOOK_MS = 2_000;
const MAP_LOOKS = 5;            // The map is asked for at every so many looks.
const MAP_PAGES_MAX = 8;        // Of 500 chunks: more than can be told apart.

const samples = new Samples();
const map = new ChunkMap();
const audit = new Audit(failed);
const slots = new Slots({ drain });
const resharding = new Reshard({ reshard });
const login = new Login({ entered, left });
let last = null;                // The last topology.
let looks = 0;
let timer = 0;
let isLooking = false;

function entered(topology) {
  looks = 0;
  saw(topology);
  audit.refresh();
  lookAtMap();
  timer = setInterval(look, LOOK_MS);
}

function left() {
  clearInterval(timer);
  samples.clear();
  audit.clear();
  map.show([], false);
  state("out", "logged out");
  tell("");
}

async function look() {
  if (document.hidden || isLooking) return;
  isLooking = true;
  try {
    saw(await call("GET", "/ops/topology"));
    if (++looks % MAP_LOOKS === 0) await lookAtMap();
  } catch (error) {
    failed(error);
  } finally {
    isLooking = false;
  }
}

function saw(topology) {
  if (byId("in").hidden) return;  // It was asked for before somebody logged out.
  last = topology;
  samples.take(topology.slots);
  slots.show(topology, samples);
  showProcesses(topology.shards);
  resharding.show(topology);
  state("live", "live");
}

async function lookAtMap() {
  const items = [];
  let cursor = null;
  try {
    for (let page = 0; page < MAP_PAGES_MAX; page++) {
      const answer = await call("GET", `/ops/chunks?limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      items.push(...answer.items);
      cursor = answer.next_cursor;
      if (cursor === null) break;
    }
  } catch (error) {
    failed(error);
    return;
  }
  if (!byId("in").hidden) map.show(items, cursor !== null);
}

async function reshard(count) {
  const text = `From ${last.shard_count} to ${count}. Chunks that move to another shard pause for a moment; no command is lost.`;
  if (!await confirmed(`Reshard to ${count}?`, text, `Reshard to ${count}`)) return;
  await act("POST", "/ops/reshard", { shard_count: count }, ({ epoch, shard_count }) => `${shard_count} shards are wanted (epoch ${epoch}).`);
  resharding.asked();
}

async function drain(slot, shard) {
  const text = `${shard} hands over all that it has, not only slot ${slot}, and ends. Its chunks pause for a moment.`;
  if (!await confirmed(`Drain the shard of slot ${slot}?`, text, "Drain it")) return;
  await act("POST", `/ops/shards/${slot}/drain`, undefined, () => `${shard} was told to drain.`);
}

async function act(method, path, body, words) {
  try {
    tell(words(await call(method, path, body)));
  } catch (error) {
    tell(error.message, true);
    failed(error);
  }
  if (!byId("in").hidden) await Promise.all([look(), audit.refresh()]);
}

function failed(error) {
  if (byId("in").hidden) return;
  if (error.status === 401) {
    login.leave("This token is no longer accepted.");
  } else if (error.status === 0 || error.status === 503) {
    state("lost", error.status ? "unavailable" : "no answer");
  } else {
    tell(error.message, true);
  }
}

function state(name, words) {
  byId("state").dataset.state = name;
  if (byId("state").textContent !== words) byId("state").textContent = words;
}

function tell(words, isBad = false) {
  byId("told").textContent = words;
  byId("told").dataset.bad = isBad;
}

watchColours(() => {
  if (last) slots.show(last, samples);
  map.draw();
});
login.resume();
