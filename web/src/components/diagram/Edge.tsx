// A weight, or its gradient, as a line between two units.
import { type Entry, writeEntry } from "../../model/entry.ts";
import { exact } from "../../model/matrix.ts";
import { shortNumber, signOf } from "../../model/number.ts";
import type { Drawing } from "./Diagram.tsx";
import type { EdgeLine } from "./layout.ts";

interface Props {
  readonly edge: EdgeLine;
  readonly entry: Entry;
  readonly largest: number;
  readonly drawing: Drawing;
}

/** The line, a wider invisible one that a finger can hit, and the value where there is room. */
export function Edge({ edge, entry, largest, drawing }: Props) {
  const value = drawing.valueOf(entry);
  const sign = value === undefined ? "unknown" : signOf(value);
  const share = value === undefined || largest === 0 ? 0 : Math.abs(value) / largest;
  const { x1, y1, x2, y2, label } = edge;
  const classes = `edge ${sign} ${drawing.classOf(entry)}`;
  return (
    <g
      class={classes}
      data-entry={writeEntry(entry)}
      data-value={value === undefined ? undefined : exact(value)}
      {...drawing.handlers(entry)}
    >
      <line class="reach" x1={x1} y1={y1} x2={x2} y2={y2} />
      <line class="stroke" x1={x1} y1={y1} x2={x2} y2={y2} style={{ strokeWidth: 1.1 + 4.4 * share }} />
      {label && value !== undefined && (
        <text class="edge-value" x={label.x} y={label.y} dy="0.35em">
          {shortNumber(value, 3)}
        </text>
      )}
    </g>
  );
}
