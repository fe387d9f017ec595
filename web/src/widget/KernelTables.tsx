// The numbers of a picture in tables.
import { MatrixTable } from "../components/MatrixTable.tsx";
import {
  type Entry,
  entryInCell,
  matrixAt,
  type Numbers,
  nameOf,
  type Place,
  symbolOf,
  writePlace,
} from "../model/entry.ts";
import type { Direction } from "../model/pass.ts";

interface Props {
  readonly numbers: Numbers;
  readonly direction: Direction;
  /** Whether a quantity is computed where the player stands. */
  readonly isKnown: (place: Place) => boolean;
  readonly onPick: (entry: Entry) => void;
  readonly onPoint: (entry: Entry | undefined) => void;
}

/** The tables; what the player has not computed is left out. */
export function KernelTables({ numbers, direction, isKnown, onPick, onPoint }: Props) {
  return (
    <div class="layer-tables">
      {placesOf(numbers, direction)
        .filter(isKnown)
        .map((place) => (
          <PlaceTable key={writePlace(place)} place={place} numbers={numbers} onPick={onPick} onPoint={onPoint} />
        ))}
    </div>
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
