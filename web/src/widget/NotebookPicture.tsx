// The picture with its switches, the explanation of a number, and all numbers in tables: the parts of the page without its
// address and its server.
import { useEffect, useState } from "preact/hooks";
import { Diagram } from "../components/diagram/Diagram.tsx";
import { canBeDrawn } from "../components/diagram/layout.ts";
import { MatrixTable } from "../components/MatrixTable.tsx";
import { NumberText } from "../components/NumberText.tsx";
import { PictureSwitches } from "../components/PictureSwitches.tsx";
import { Terms } from "../components/Terms.tsx";
import {
  type Entry,
  entryInCell,
  matrixAt,
  type Numbers,
  nameOf,
  type Place,
  symbolOf,
  valueAt,
  writeEntry,
  writePlace,
} from "../model/entry.ts";
import type { Expansion, Explanation } from "../model/explanation.ts";
import { exact } from "../model/matrix.ts";
import { shapeName } from "../model/network.ts";
import type { Direction } from "../model/pass.ts";
import { ask, type KernelModel, stateOf } from "./kernel.ts";

interface Props {
  readonly model: KernelModel;
}

/** The widget. */
export function NotebookPicture({ model }: Props) {
  const [{ numbers, step }, setState] = useState(() => stateOf(model));
  const [direction, setDirection] = useState<Direction>("forward");
  const [sample, setSample] = useState(0);
  const [picked, pick] = useState<Entry | undefined>(undefined);
  const [pointed, point] = useState<Entry | undefined>(undefined);
  const [lit, light] = useState<Entry | undefined>(undefined);
  useEffect(() => {
    const read = () => setState(stateOf(model));
    model.on("change:numbers", read);
    return () => model.off("change:numbers", read);
  }, [model]);
  const { spec } = numbers.network;
  const shownValue = pointed && valueAt(numbers, pointed);
  return (
    <div class="notebook-picture">
      <div class="picture-bar">
        <PictureSwitches
          direction={direction}
          setDirection={setDirection}
          sample={sample}
          setSample={setSample}
          samples={numbers.batch.x.rows}
        />
        <span class="loss">
          step {step}, l = <NumberText value={numbers.pass?.loss ?? Number.NaN} digits={5} />
        </span>
      </div>
      {canBeDrawn(spec) ? (
        <Diagram
          numbers={numbers}
          sample={sample}
          direction={direction}
          isUpright={false}
          isKnown={() => true}
          isCurrent={() => false}
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
          : "Choose a number to see how it is formed."}
      </p>
      {picked && <KernelWhy model={model} entry={picked} numbers={numbers} onLight={light} onPick={pick} />}
      <details>
        <summary>The numbers in tables</summary>
        <div class="layer-tables">
          {placesOf(numbers, direction).map((place) => (
            <PlaceTable key={writePlace(place)} place={place} numbers={numbers} onPick={pick} onPoint={point} />
          ))}
        </div>
      </details>
    </div>
  );
}

interface WhyProps extends Props {
  readonly entry: Entry;
  readonly numbers: Numbers;
  readonly onLight: (entry: Entry | undefined) => void;
  readonly onPick: (entry: Entry) => void;
}

const LEVELS: readonly (readonly [Expansion, string])[] = [
  ["definition", "Definition"],
  ["chain", "Chain rule"],
  ["leaves", "Leaves"],
];

/** What the kernel says about an entry; what is given, such as a weight, has only its value. */
function KernelWhy({ model, entry, numbers, onLight, onPick }: WhyProps) {
  const [level, setLevel] = useState<Expansion>("definition");
  const [answer, setAnswer] = useState<Explanation | string | undefined>(undefined);
  const isGiven = ["W", "b", "x", "y", "loss"].includes(entry.quantity);
  useEffect(() => {
    let isCurrent = true;
    setAnswer(undefined);
    if (isGiven) return;
    ask(model, entry, level).then(
      (explanation) => isCurrent && setAnswer(explanation),
      (error: Error) => isCurrent && setAnswer(error.message),
    );
    return () => {
      isCurrent = false;
    };
  }, [model, writeEntry(entry), level, numbers]);
  const value = valueAt(numbers, entry);
  const name = nameOf(entry, matrixAt(numbers, entry));
  if (isGiven)
    return (
      <p aria-live="polite">
        {name} = {value === undefined ? "" : exact(value)}
      </p>
    );
  return (
    <section aria-label={`Why ${name} has its value`} aria-live="polite">
      <fieldset class="segments">
        <legend class="visually-hidden">How far to go</legend>
        {LEVELS.map(([each, title]) => (
          <button key={each} type="button" aria-pressed={each === level} onClick={() => setLevel(each)}>
            {title}
          </button>
        ))}
      </fieldset>
      {typeof answer === "string" && <p role="alert">{answer}</p>}
      {typeof answer === "object" &&
        answer.equations.map((equation, index) => (
          <div key={equation.text}>
            <p class="equation">
              {equation.text}
              <br />= {equation.numbers}
            </p>
            {index === 0 && <Terms equation={equation} onLight={onLight} onPick={onPick} />}
          </div>
        ))}
    </section>
  );
}

/** The tables of a direction. */
function placesOf({ network }: Numbers, direction: Direction): readonly Place[] {
  const { layers } = network.spec;
  if (direction === "forward") {
    const forward = layers.flatMap((layer, index): Place[] => [
      { quantity: "W", layer: index + 1 },
      ...(layer.hasBias ? [{ quantity: "b", layer: index + 1 } as const] : []),
      { quantity: "z", layer: index + 1 },
      { quantity: "h", layer: index + 1 },
    ]);
    return [{ quantity: "x", layer: 0 }, ...forward, { quantity: "y", layer: 0 }];
  }
  const backward = layers.flatMap((layer, index): Place[] => [
    { quantity: "dz", layer: index + 1 },
    { quantity: "dh", layer: index + 1 },
    { quantity: "dW", layer: index + 1 },
    ...(layer.hasBias ? [{ quantity: "db", layer: index + 1 } as const] : []),
  ]);
  return [{ quantity: "dx", layer: 0 }, ...backward, { quantity: "delta", layer: 0 }];
}

interface TableProps {
  readonly place: Place;
  readonly numbers: Numbers;
  readonly onPick: (entry: Entry) => void;
  readonly onPoint: (entry: Entry | undefined) => void;
}

function PlaceTable({ place, numbers, onPick, onPoint }: TableProps) {
  const matrix = matrixAt(numbers, place);
  if (!matrix) return null;
  return (
    <MatrixTable
      matrix={matrix}
      name={writePlace(place)}
      caption={symbolOf(place)}
      nameOf={({ row, column }) => nameOf(entryInCell(place, row, column), matrix)}
      onPick={({ row, column }) => onPick(entryInCell(place, row, column))}
      onPoint={(cell) => onPoint(cell && entryInCell(place, cell.row, cell.column))}
    />
  );
}
