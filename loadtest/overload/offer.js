// Offer submits at a constant rate, whatever becomes of the earlier ones: an open loop. (With CLOSED set, a closed one:
// so many callers, each of which sends its next request when it has its answer.)
//
// Each request has a key of its own. The keys of those that were accepted, and of those that got no answer or a strange
// one, are printed, to be looked up in the ledger afterwards.
import exec from "k6/execution";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

const { URL, RUN, RATE, LASTING, CALLERS, CLOSED } = __ENV;
const accepted = new Trend("accepted", true);
const refused = new Trend("refused", true);
const others = new Counter("others");

const open = {
  executor: "constant-arrival-rate",
  rate: Number(RATE),
  timeUnit: "1s",
  duration: `${LASTING}s`,
  preAllocatedVUs: Number(CALLERS),
  maxVUs: Number(CALLERS),
  gracefulStop: "20s",
};
const closed = { executor: "constant-vus", vus: Number(CALLERS), duration: `${LASTING}s` };

export const options = {
  scenarios: { offer: CLOSED ? closed : open },
  discardResponseBodies: true,
  summaryTrendStats: ["count", "med", "p(95)", "p(99)", "max"],
};

const BODY = JSON.stringify({ kind: "test.noop", payload: {} });

export default function () {
  const key = `${RUN}-${exec.scenario.iterationInTest}`;
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const response = http.post(`${URL}/v1/jobs`, BODY, { headers, timeout: "15s" });
  if (response.status === 202) {
    accepted.add(response.timings.duration);
    console.log(`accepted ${key}`);
  } else if (response.status === 503 && Number(response.headers["Retry-After"]) >= 1) {
    refused.add(response.timings.duration);
  } else {
    others.add(1);
    console.log(`unknown ${key}`);
  }
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}
