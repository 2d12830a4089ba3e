// CALLERS callers, each of which sends a batch of a thousand jobs when it has its answer: a closed loop.
import exec from "k6/execution";
import http from "k6/http";
import { Counter, Rate, Trend } from "k6/metrics";
import { CALLERS, COMMON, HEADERS, NOOP, RUN } from "./submit.js";
export { handleSummary } from "./submit.js";

const JOBS = 1000;
const [taken, answer, unexpected] = [new Counter("taken"), new Trend("answer", true), new Rate("unexpected")];

export const options = {
  ...COMMON,
  discardResponseBodies: false,
  scenarios: { batch: { executor: "constant-vus", vus: CALLERS, duration: `${__ENV.LASTING}s` } },
  thresholds: { unexpected: [{ threshold: "rate==0" }] },
};

export default function () {
  const number = exec.scenario.iterationInTest;
  const jobs = Array.from({ length: JOBS }, (_, at) => ({ ...NOOP, idempotency_key: `${RUN}-${number}-${at}` }));
  const request = { headers: HEADERS, timeout: "30s" };
  const response = http.post(`${__ENV.URL}/v1/jobs/batch`, JSON.stringify({ jobs }), request);
  const fine = response.status === 207 ? response.json("outcomes.#.status").filter((status) => status === 202).length : 0;
  unexpected.add(fine !== JOBS);
  if (fine) {
    taken.add(fine);
    answer.add(response.timings.duration);
    console.log(`${Date.now()} ${fine} ${response.timings.duration.toFixed(2)}`);
  }
}
