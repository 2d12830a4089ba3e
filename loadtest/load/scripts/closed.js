// CALLERS callers, each of which sends its next job when it has its answer: the server sets the pace.
import { ANSWERED, CALLERS, COMMON, NOOP, submit } from "./submit.js";
export { handleSummary } from "./submit.js";

export const options = {
  ...COMMON,
  scenarios: { closed: { executor: "constant-vus", vus: CALLERS, duration: `${__ENV.LASTING}s` } },
  thresholds: ANSWERED,
};

export default () => submit(NOOP);
