// Logging in and out: a token is good when the API says so, and then stays in this tab.
// Until this is loaded the form can't be sent, and its field has no name: a token is in no address.
// `on`: {entered(topology)} with the first answer, {left()}.

import { call, held } from "./api.js";
import { byId } from "./elements.js";

// What can be a header at all: else nobody but the browser would say what is wrong.
const SHAPE = /^[\x21-\x7e]+$/;

export class Login {
  constructor(on) {
    this.on = on;
    byId("login").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter(byId("token").value.trim());
    });
    byId("logout").addEventListener("click", () => this.leave(""));
    byId("login").querySelector("button").disabled = false;
  }

  // Go on with the token that this tab has, if it has one.
  async resume() {
    if (held.token) await this.#enter(held.token);
    else byId("token").focus();
  }

  leave(why) {
    held.token = null;
    byId("token").value = "";
    this.#show(false);
    byId("wrong").textContent = why;
    byId("token").focus();
    this.on.left();
  }

  async #enter(token) {
    const button = byId("login").querySelector("button");
    button.disabled = true;
    byId("wrong").textContent = "";
    try {
      if (!SHAPE.test(token)) throw new Error("This is no operator's token.");
      const topology = await call("GET", "/ops/topology", undefined, token);
      held.token = token;
      byId("token").value = "";
      this.#show(true);
      this.on.entered(topology);
    } catch (error) {
      if (error.status === 401) held.token = null;
      byId("wrong").textContent = error.status === 401 ? "This token is not accepted: mistyped, expired or revoked." : error.message;
      byId("token").focus();
    } finally {
      button.disabled = false;
    }
  }

  #show(isIn) {
    byId("out").hidden = isIn;
    byId("in").hidden = !isIn;
    byId("logout").hidden = !isIn;
  }
}
