// Little, then RATE a second for LASTING seconds, then little again for three times as long.
import { ANSWERED, COMMON, NOOP, open, submit } from "./submit.js";
export { handleSummary } from "./submit.js";

const [little, much, lasting] = [20, Number(__ENV.RATE), Number(__ENV.LASTING)];

export const options = {
  ...COMMON,
  scenarios: {
    burst: open(
      [
        { target: little, duration: "5s" },
        { target: much, duration: "0s" },
        { target: much, duration: `${lasting}s` },
        { target: little, duration: "0s" },
        { target: little, duration: `${3 * lasting}s` },
      ],
      little,
    ),
  },
  thresholds: ANSWERED,
};

export default () => submit(NOOP);
