// Requests to the api that served this page. The key lives in this tab only (sessionStorage), never in a URL.

const KEY = "holdfast-api-key";

export const apiKey = () => sessionStorage.getItem(KEY) || "";

export function useKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** What the api answered when it did not do what was asked: an RFC 9457 problem document. */
export class Problem extends Error {
  constructor(document, retryAfter) {
    super(document.detail || document.title || "the api did not answer");
    this.document = document;
    this.status = document.status;
    this.retryAfter = retryAfter;
  }
}

export const authorization = () => (apiKey() ? { authorization: `Bearer ${apiKey()}` } : {});

/** Send a request; return the parsed answer, or throw a Problem. */
export async function call(method, path, body, headers = {}) {
  const sent = { method, headers: { ...authorization(), ...headers } };
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers["content-type"] = "application/json";
  }
  const answer = await reach(path, sent);
  return answer.status === 204 ? null : answer.json();
}

/** The bytes behind a path, as an object URL to be revoked by the caller. */
export async function objectUrl(path, type) {
  const answer = await reach(path, { headers: authorization() });
  return URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type }));
}

/** Store a file as a source; return its id. */
export async function upload(file) {
  const type = file.type || "application/octet-stream";
  const answer = await reach("/v1/uploads", { method: "POST", body: file, headers: { ...authorization(), "content-type": type } });
  return (await answer.json()).id;
}

async function reach(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem({ status: 0, title: "The api does not answer", detail: "The api does not answer. Is it running?" });
  }
  if (answer.ok) return answer;
  const document = await answer.json().catch(() => ({ status: answer.status, title: answer.statusText }));
  throw new Problem(document, answer.headers.get("retry-after"));
}

/** `?a=1&b=2` of the values that are set. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return set.length ? `?${new URLSearchParams(set)}` : "";
}
