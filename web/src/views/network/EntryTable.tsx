// The matrix of a quantity as a table whose entries can be chosen.

import { isMaskedAt } from "../../components/diagram/NetworkNode.tsx";
import { Formula } from "../../components/Formula.tsx";
import { type Cell, MatrixTable } from "../../components/MatrixTable.tsx";
import {
  type Entry,
  entryInCell,
  isSame,
  latexOf,
  matrixAt,
  type Numbers,
  nameOf,
  type Place,
  symbolOf,
  valueAt,
  writeEntry,
  writePlace,
} from "../../model/entry.ts";
import { isKnown, lit, pick, picked, pointed } from "../../state/gaze.ts";

interface Props {
  readonly place: Place;
  readonly numbers: Numbers;
  readonly digits?: number;
}

const PER_UNIT = new Set(["z", "h", "dz", "dh"]);

/** The table; before the player has come there, "not yet". */
export function EntryTable({ place, numbers, digits = 4 }: Props) {
  const matrix = matrixAt(numbers, place);
  const symbol = symbolOf(place);
  if (!matrix || !isKnown(place)) {
    return (
      <figure class="not-yet" data-matrix={writePlace(place)}>
        <figcaption>
          <Formula latex={latexOf(place)} plain={symbol} />
        </figcaption>
        <p>not yet</p>
      </figure>
    );
  }
  const entryOf = ({ row, column }: Cell) => entryInCell(place, row, column);
  return (
    <MatrixTable
      matrix={matrix}
      name={writePlace(place)}
      digits={digits}
      caption={
        <>
          <Formula latex={latexOf(place)} plain={symbol} />{" "}
          <span class="quiet">
            {matrix.rows} × {matrix.columns}
          </span>
        </>
      }
      nameOf={(cell) => nameOf(entryOf(cell), matrix)}
      noteOf={(cell) => whyZero(numbers, entryOf(cell)) ?? ""}
      classOf={(cell) => {
        const entry = entryOf(cell);
        return [
          whyZero(numbers, entry) && "masked",
          isSame(entry, picked.value) && "picked",
          (isSame(entry, pointed.value) || lit.value.has(writeEntry(entry))) && "pointed",
        ]
          .filter(Boolean)
          .join(" ");
      }}
      onPick={(cell) => pick(entryOf(cell))}
      onPoint={(cell) => {
        pointed.value = cell && entryOf(cell);
      }}
    />
  );
}

/** Why an entry is switched off, if it is: its unit is off for this sample, or for every one. */
function whyZero(numbers: Numbers, entry: Entry): string | undefined {
  const { quantity, layer, row, column } = entry;
  if (PER_UNIT.has(quantity)) return isOff(numbers, layer, row, column) ? "off: z < 0" : undefined;
  if (quantity !== "dW" && quantity !== "db") return undefined;
  const samples = numbers.batch.x.rows;
  // More samples than a reader can check are not looked through for each cell.
  if (samples > 64) return undefined;
  const isDead = Array.from({ length: samples }, (_, k) => k).every((k) => isOff(numbers, layer, k, row));
  return isDead ? "its unit is off for every sample" : undefined;
}

function isOff(numbers: Numbers, layer: number, sample: number, unit: number): boolean {
  const z = valueAt(numbers, { quantity: "z", layer, row: sample, column: unit });
  return z !== undefined && isMaskedAt(numbers, layer, z);
}
