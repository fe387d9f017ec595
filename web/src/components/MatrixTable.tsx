// A matrix as a table: the sign of an entry by colour and glyph, masked entries hatched, and, where entries can be chosen,
// a grid that arrow keys walk through with one tab stop.
import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { entryAt, exact, type Matrix } from "../model/matrix.ts";
import { shortNumber, signOf } from "../model/number.ts";

/** A cell, both indices from 0. */
export interface Cell {
  readonly row: number;
  readonly column: number;
}

interface Props {
  readonly matrix: Matrix;
  /** The name above the table, which a screen reader hears first. */
  readonly caption: ComponentChildren;
  /** What the matrix is called in the DOM, such as "dW2". */
  readonly name?: string;
  /** What a cell is called, such as "dW²₁₂". */
  readonly nameOf: (cell: Cell) => string;
  /** Classes of a cell, such as "masked" or "wrong". */
  readonly classOf?: (cell: Cell) => string;
  /** Words after the value for a screen reader, such as "wrong". */
  readonly noteOf?: (cell: Cell) => string;
  readonly onPick?: (cell: Cell) => void;
  /** The cell under the cursor or with the focus; undefined when there is none. */
  readonly onPoint?: (cell: Cell | undefined) => void;
  /** At most this many rows and columns are shown; the rest is told. */
  readonly limit?: number;
  readonly digits?: number;
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** A matrix. */
export function MatrixTable(props: Props) {
  const { matrix, caption, name, onPick, limit = 32 } = props;
  const label = useId();
  const table = useRef<HTMLTableElement>(null);
  const [stop, setStop] = useState<Cell>({ row: 0, column: 0 });
  const rows = Math.min(matrix.rows, limit);
  const columns = Math.min(matrix.columns, limit);
  // The matrix may have become smaller.
  const focusable = { row: clamp(stop.row, rows), column: clamp(stop.column, columns) };
  const isCut = rows < matrix.rows || columns < matrix.columns;

  const walk = (event: KeyboardEvent, cell: Cell) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onPick?.(cell);
      return;
    }
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const row = clamp(cell.row + step[0], rows);
    const column = clamp(cell.column + step[1], columns);
    setStop({ row, column });
    table.current?.querySelector<HTMLElement>(`[data-row="${row}"][data-column="${column}"]`)?.focus();
  };

  // A grid may have no caption, so the caption stands before it.
  return (
    <div class="matrix-scroll" tabIndex={onPick ? undefined : 0}>
      <p class="matrix-caption" id={label}>
        {caption}
      </p>
      <table ref={table} class="matrix" data-matrix={name} role={onPick ? "grid" : undefined} aria-labelledby={label}>
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            <tr key={row}>
              {Array.from({ length: columns }, (_, column) => (
                <MatrixCell
                  key={column}
                  {...props}
                  cell={{ row, column }}
                  isStop={focusable.row === row && focusable.column === column}
                  onWalk={walk}
                />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {isCut && (
        <p class="quiet">
          The first {rows} × {columns} of {matrix.rows} × {matrix.columns} entries.
        </p>
      )}
    </div>
  );
}

interface CellProps extends Props {
  readonly cell: Cell;
  readonly isStop: boolean;
  readonly onWalk: (event: KeyboardEvent, cell: Cell) => void;
}

function MatrixCell({ matrix, nameOf, classOf, noteOf, onPick, onPoint, digits = 4, cell, isStop, onWalk }: CellProps) {
  const value = entryAt(matrix, cell.row, cell.column);
  const name = nameOf(cell);
  const note = noteOf?.(cell) ?? "";
  const text = shortNumber(value, digits);
  const handlers = onPick && {
    role: "gridcell" as const,
    tabIndex: isStop ? 0 : -1,
    onClick: () => onPick(cell),
    onKeyDown: (event: KeyboardEvent) => onWalk(event, cell),
    "aria-label": `${name} = ${text}${note && `, ${note}`}`,
  };
  return (
    <td
      class={`${signOf(value)} ${classOf?.(cell) ?? ""}`}
      data-entry={name}
      data-value={exact(value)}
      data-row={cell.row}
      data-column={cell.column}
      title={`${name} = ${exact(value)}${note && `\n${note}`}`}
      onPointerEnter={() => onPoint?.(cell)}
      onPointerLeave={() => onPoint?.(undefined)}
      onFocus={() => onPoint?.(cell)}
      onBlur={() => onPoint?.(undefined)}
      {...handlers}
    >
      {text}
    </td>
  );
}

function clamp(index: number, length: number): number {
  return Math.min(Math.max(index, 0), length - 1);
}
