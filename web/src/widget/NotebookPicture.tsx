// The picture with its switches, the player, the explanation of a number, another value for it, and all numbers in tables:
// the parts of the page without its address and its server.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Diagram } from "../components/diagram/Diagram.tsx";
import { canBeDrawn } from "../components/diagram/layout.ts";
import { LiveRegion } from "../components/Live.tsx";
import { NumberText } from "../components/NumberText.tsx";
import { PictureSwitches } from "../components/PictureSwitches.tsx";
import { PlayerStrip } from "../components/PlayerStrip.tsx";
import { type Entry, matrixAt, nameOf, type Place, valueAt, writeEntry } from "../model/entry.ts";
import { type Frame, framesOf, isBackwardAt, isCurrentAt, isKnownAt } from "../model/frames.ts";
import { exact } from "../model/matrix.ts";
import { shapeName } from "../model/network.ts";
import type { Direction } from "../model/pass.ts";
import { KernelEditor } from "./KernelEditor.tsx";
import { KernelTables } from "./KernelTables.tsx";
import { KernelWhy } from "./KernelWhy.tsx";
import { change, follow, type KernelModel, type KernelState, stateOf } from "./kernel.ts";

interface Props {
  readonly model: KernelModel;
}

/** The widget. */
export function NotebookPicture({ model }: Props) {
  const [state, setState] = useState(() => stateOf(model));
  const [direction, setDirection] = useState<Direction>("forward");
  const [sample, setSample] = useState(0);
  const [frame, setFrame] = useState<Frame | undefined>(undefined);
  const [picked, pick] = useState<Entry | undefined>(undefined);
  const [pointed, point] = useState<Entry | undefined>(undefined);
  const [lit, light] = useState<Entry | undefined>(undefined);
  useEffect(() => follow(model, () => setState(stateOf(model))), [model]);
  const { numbers, step } = state;
  const { spec } = numbers.network;
  // Numbers change with each step of a run; the frames only with the shape.
  const frames = useMemo(() => framesOf(spec), [JSON.stringify(spec)]);
  const isKnown = ({ quantity, layer }: Place) => isKnownAt(frames, frame, quantity, layer);
  const shownValue = pointed && isKnown(pointed) ? valueAt(numbers, pointed) : undefined;
  const goTo = (next: Frame | undefined) => {
    setFrame(next);
    if (next) setDirection(isBackwardAt(next) ? "backward" : "forward");
  };
  return (
    // The notebook's own shortcuts, such as the arrow keys, stay out.
    <div class="notebook-picture" data-lm-suppress-shortcuts="true">
      <div class="picture-bar">
        <PictureSwitches
          direction={direction}
          setDirection={setDirection}
          sample={sample}
          setSample={setSample}
          samples={numbers.batch.x.rows}
        />
        <span class="loss">
          step {step}, l ={" "}
          {isKnown({ quantity: "loss", layer: 0 }) ? (
            <NumberText value={numbers.pass?.loss ?? Number.NaN} digits={5} />
          ) : (
            "not yet"
          )}
        </span>
      </div>
      {canBeDrawn(spec) ? (
        <Diagram
          numbers={numbers}
          sample={sample}
          direction={direction}
          isUpright={false}
          isKnown={isKnown}
          isCurrent={(entry) => isCurrentAt(frames, frame, entry)}
          lit={new Set(lit ? [writeEntry(lit)] : [])}
          picked={picked}
          onPick={pick}
          onPoint={point}
        />
      ) : (
        <p>{shapeName(spec)} is too large for a picture; its numbers are in the tables.</p>
      )}
      <p class="readout quiet" aria-hidden="true">
        {pointed && shownValue !== undefined
          ? `${nameOf(pointed, matrixAt(numbers, pointed))} = ${exact(shownValue).replace("-", "−")}`
          : "Choose a number to see how it is formed, or to change it."}
      </p>
      {picked && <KernelWhy model={model} entry={picked} numbers={numbers} onLight={light} onPick={pick} />}
      {picked && <KernelEditor model={model} entry={picked} numbers={numbers} isKnown={isKnown} onPick={pick} />}
      <Changes model={model} state={state} />
      {canBeDrawn(spec) && (
        <PlayerStrip
          frames={frames}
          frame={frame}
          onFrame={goTo}
          formulaOf={({ plain }) => <span class="formula">{plain}</span>}
          isPageWide={false}
        />
      )}
      {frame?.id === "update" && (
        <p class="quiet">In the kernel, net.fit(x, y, steps=1) takes a step, and refresh() of the picture shows it.</p>
      )}
      <details>
        <summary>The numbers in tables</summary>
        <KernelTables numbers={numbers} direction={direction} isKnown={isKnown} onPick={pick} onPoint={point} />
      </details>
      <LiveRegion />
    </div>
  );
}

/** What was changed, and the way back. */
function Changes({ model, state }: Props & { readonly state: KernelState }) {
  const { changes, problem } = state;
  const count = Object.keys(changes).length;
  if (count === 0) return null;
  return (
    <p class="changes row">
      <span>
        {count === 1 ? "One number is" : `${count} numbers are`} changed here, in a copy: the network itself is as it
        was.
      </span>
      {problem && <span role="alert">{problem}</span>}
      <button type="button" onClick={() => change(model, {})}>
        Take back
      </button>
    </p>
  );
}
