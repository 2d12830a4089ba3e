// A rate that can be kept up for ever, for a long time: nothing may be refused, and nothing may grow.
import { ANSWERED, COMMON, NOOP, open, submit } from "./submit.js";
export { handleSummary } from "./submit.js";

const rate = Number(__ENV.RATE);

export const options = {
  ...COMMON,
  scenarios: { soak: open([{ target: rate, duration: `${__ENV.LASTING}s` }], rate) },
  thresholds: { ...ANSWERED, refused: [{ threshold: "rate==0" }] },
};

export default () => submit(NOOP);
