// What the platform does, every second: over a WebSocket, or by asking when there is none.
//
//   connecting ──open──► live ──closed──► polling ──(every 15 s a new try)──► live
//                                           │ the api or its ledger does not answer
//                                           └──► away

import { apiKey, authorization, call } from "./api.js";
import { useEffect, useState } from "./view.js";

const KEPT = 120; // points of history: two minutes
const POLL = 2000;
const AGAIN = 15000;

const state = { mode: "connecting", stats: null, history: [], problem: null };
const listeners = new Set();
let socket = null;
let pollTimer = null;
let againTimer = null;

/** The newest sight and the last two minutes, as a hook. */
export function useLive() {
  const [seen, see] = useState(state);
  useEffect(() => {
    const listen = () => see({ ...state });
    listeners.add(listen);
    listen();
    return () => listeners.delete(listen);
  }, []);
  return seen;
}

/** Start, or start anew with another key. */
export function connect() {
  clearTimeout(againTimer);
  socket?.close();
  const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/stats`);
  socket = mine;
  mine.onopen = () => mine.send(JSON.stringify(authorization()));
  mine.onmessage = (message) => {
    if (mine !== socket) return;
    stopPolling();
    take(JSON.parse(message.data), "live");
  };
  mine.onclose = (closed) => {
    if (mine !== socket) return;
    if (closed.code === 4401 || closed.code === 4403) {
      stopPolling();
      return tell({ mode: "refused", problem: { status: closed.code - 4000, detail: closed.reason } });
    }
    startPolling();
    againTimer = setTimeout(connect, AGAIN);
  };
}

function startPolling() {
  if (pollTimer === null) poll();
}

function stopPolling() {
  clearTimeout(pollTimer);
  pollTimer = null;
}

async function poll() {
  pollTimer = setTimeout(poll, POLL);
  try {
    take(await call("GET", "/v1/stats"), "polling");
  } catch (problem) {
    const refused = problem.status === 401 || problem.status === 403;
    if (refused) stopPolling();
    tell({ mode: refused ? "refused" : "away", problem });
  }
}

function take(message, mode) {
  if (message.type) return tell({ mode: "away", problem: message }); // a problem document in place of a sight
  const point = summary(message);
  tell({ mode, stats: message, problem: null, history: [...state.history, point].slice(-KEPT) });
}

function tell(news) {
  Object.assign(state, news);
  for (const listen of listeners) listen();
}

/** What the sparklines show of one sight. */
function summary(stats) {
  const { window_seconds: seconds, kinds, accepted } = stats.activity;
  const sum = (name) => kinds.reduce((total, kind) => total + (kind.attempts[name] || 0), 0) / seconds;
  const slowest = (share) => Math.max(0, ...kinds.map((kind) => kind.latency_ms?.[share] ?? 0));
  const waiting = Object.fromEntries(stats.queues.map((queue) => [queue.name, depth(queue)]));
  return {
    at: stats.at,
    accepted: accepted / seconds,
    succeeded: sum("succeeded"),
    failed: sum("failed"),
    parked: sum("parked"),
    p50: slowest("p50"),
    p95: slowest("p95"),
    waiting,
  };
}

/** Jobs of a queue that are queued and not begun. */
export const depth = (queue) => queue.priorities.reduce((total, line) => total + line.jobs, 0);

export const hasKey = () => apiKey() !== "";
