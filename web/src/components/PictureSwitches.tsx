// What turns a picture of a network: forward or backward, and which sample.
import type { Direction } from "../model/pass.ts";

interface Props {
  readonly direction: Direction;
  readonly setDirection: (direction: Direction) => void;
  /** Of the sample, from 0. */
  readonly sample: number;
  readonly setSample: (sample: number) => void;
  /** Number of samples. */
  readonly samples: number;
}

/** So many samples can be picked; a longer list is hard to read. */
const MOST_SAMPLES = 200;

/** Both switches. */
export function PictureSwitches({ direction, setDirection, sample, setSample, samples }: Props) {
  return (
    <>
      <fieldset class="segments">
        <legend class="visually-hidden">Direction</legend>
        {(["forward", "backward"] as const).map((name) => (
          <button key={name} type="button" aria-pressed={name === direction} onClick={() => setDirection(name)}>
            {name === "forward" ? "Forward →" : "← Backward"}
          </button>
        ))}
      </fieldset>
      <label>
        Sample{" "}
        <select value={String(sample)} onChange={(event) => setSample(Number(event.currentTarget.value))}>
          {Array.from({ length: Math.min(samples, MOST_SAMPLES) }, (_, index) => (
            <option key={index} value={String(index)}>
              {index + 1} of {samples}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}
