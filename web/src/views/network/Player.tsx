// The player of the page: its frame is in the address, its formulas are typeset.
import { Formula } from "../../components/Formula.tsx";
import { PlayerStrip } from "../../components/PlayerStrip.tsx";
import type { Frame } from "../../model/frames.ts";
import { frame, frames, setFrame } from "../../state/gaze.ts";

/** The strip of frames, and what the current one computes. */
export function Player() {
  return <PlayerStrip frames={frames.value} frame={frame.value} onFrame={setFrame} formulaOf={formulaOf} isPageWide />;
}

function formulaOf({ latex, plain }: Frame) {
  return <Formula latex={latex} plain={plain} />;
}
