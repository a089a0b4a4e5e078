// The operators' API, with the token of this tab. It keeps nothing but that.
// What it throws says in `message` what a person should read; `status` 0: no gateway answered.

const KEY = "tessera-operator-token";
const CALL_MS = 15_000;         // A gateway answers, or says that it can't, within two deadlines of its own.

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// In sessionStorage only: it ends with the tab, and no other tab and no server sees it stored.
export const held = {
  get token() { return sessionStorage.getItem(KEY); },
  set token(token) { token === null ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, token); },
};

export async function call(method, path, body, token = held.token) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(CALL_MS),
    });
  } catch {
    throw new Refused(0, "lost", "No gateway answers.");
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.code ?? "unknown", answer.detail ?? `The answer was ${response.status}.`);
  return answer;
}
