// What all scripts share: post one job under a key of its own, and log `when status milliseconds` of the answer.
//
// Given by the runner: URL, RUN (a prefix for the keys; the time without it), CALLERS (the most requests without an answer at a time), NOOP
// (the kind that does nothing). Besides, for whoever runs a script by hand: API_KEY, and TEXT for a summary to be read.
import exec from "k6/execution";
import http from "k6/http";
import { Rate, Trend } from "k6/metrics";

const accepted = new Trend("accepted", true);
const refused = new Rate("refused");
const unexpected = new Rate("unexpected");

export const NOOP = { kind: __ENV.NOOP, payload: {} };
export const RUN = __ENV.RUN || Date.now();
export const CALLERS = Number(__ENV.CALLERS);
export const HEADERS = { "Content-Type": "application/json" };
if (__ENV.API_KEY) HEADERS.Authorization = `Bearer ${__ENV.API_KEY}`;
// An answer is a 202, or a 503 or 429 that says when to come again. Anything else is a defect, at any load.
export const ANSWERED = { unexpected: [{ threshold: "rate==0" }] };
export const COMMON = { discardResponseBodies: true, summaryTrendStats: ["count", "med", "p(95)", "p(99)", "max"] };

export function submit(job) {
  const key = `${RUN}-${exec.scenario.iterationInTest}`;
  const headers = { ...HEADERS, "Idempotency-Key": key };
  const response = http.post(`${__ENV.URL}/v1/jobs`, JSON.stringify(job), { headers, timeout: "15s" });
  const told = response.status === 202;
  const later = [429, 503].includes(response.status) && Number(response.headers["Retry-After"]) >= 1;
  if (told) accepted.add(response.timings.duration);
  refused.add(later);
  unexpected.add(!told && !later);
  console.log(`${Date.now()} ${response.status} ${response.timings.duration.toFixed(2)}`);
}

export function open(stages, startRate) {
  const vus = { preAllocatedVUs: CALLERS, maxVUs: CALLERS };
  return { executor: "ramping-arrival-rate", startRate, timeUnit: "1s", stages, gracefulStop: "20s", ...vus };
}

export function handleSummary(data) {
  return { stdout: __ENV.TEXT ? text(data.metrics) : JSON.stringify(data.metrics) };
}

function text({ accepted, refused, unexpected, dropped_iterations: dropped }) {
  const { count = 0, med = 0, "p(95)": p95 = 0, "p(99)": p99 = 0, max = 0 } = accepted ? accepted.values : {};
  const share = (rate) => `${(100 * (rate ? rate.values.rate : 0)).toFixed(2)} %`;
  const times = Object.entries({ p50: med, p95, p99, max }).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
  return `accepted    ${count} jobs; milliseconds to the answer: ${times.join(", ")}
refused     ${share(refused)} of the requests, and told when to come again
unexpected  ${share(unexpected)}
not sent    ${dropped ? dropped.values.count : 0}, for all callers were waiting
`;
}
