// What happened, in words: what was said, and when the picture was broken or made anew.
// The last of the latter is also shown beside the state for a few seconds.

const LINES_MAX = 40;
const SHOWN_MS = 6000;
const byId = (id) => document.getElementById(id);

export class Notes {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.timer = 0;
  }

  said(name, text) {
    const who = document.createElement("b");
    who.textContent = name;
    this.#add("", who, ` ${text}`);
  }

  // Something about the picture itself; `title` says more to whoever asks.
  told(text, title = "") {
    const time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString([], { hourCycle: "h23" });
    const line = this.#add("note", time, ` ${text}`);
    line.title = title;
    byId("note").textContent = text;
    byId("note").dataset.shown = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { byId("note").dataset.shown = false; }, SHOWN_MS);
  }

  // In the past, what came later is dimmed. Null: the present.
  show(moment) {
    for (const line of byId("said").children) line.classList.toggle("later", moment !== null && Number(line.dataset.at) > moment);
  }

  #add(kind, ...content) {
    const line = document.createElement("li");
    line.className = kind;
    line.dataset.at = this.now();
    line.append(...content);
    byId("said").prepend(line);
    while (byId("said").children.length > LINES_MAX) byId("said").lastChild.remove();
    return line;
  }
}
