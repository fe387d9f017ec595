// A unit: z and h side by side, or dz and dh; an input has one number. A unit that is off is hatched and says why.
import { type Entry, type Numbers, valueAt, writeEntry } from "../../model/entry.ts";
import { isMasking } from "../../model/frames.ts";
import { exact } from "../../model/matrix.ts";
import { shortNumber, signOf } from "../../model/number.ts";
import type { Direction } from "../../model/pass.ts";
import type { Drawing } from "./Diagram.tsx";
import { NODE_HEIGHT, type NodeBox } from "./layout.ts";

interface Props {
  readonly node: NodeBox;
  readonly nodeWidth: number;
  readonly numbers: Numbers;
  readonly sample: number;
  readonly direction: Direction;
  readonly isUpright: boolean;
  readonly drawing: Drawing;
}

/** The unit with its numbers, and beside it its bias, its target, and why it is off. */
export function NetworkNode({ node, nodeWidth, numbers, sample, direction, isUpright, drawing }: Props) {
  const { spec } = numbers.network;
  const { layer, unit, x, y } = node;
  const isBackward = direction === "backward";
  const isInput = layer === 0;
  const at = (quantity: Entry["quantity"], of: number): Entry => ({ quantity, layer: of, row: sample, column: unit });
  const entries = isInput
    ? [isBackward ? at("dx", 0) : at("x", 0)]
    : isBackward
      ? [at("dz", layer), at("dh", layer)]
      : [at("z", layer), at("h", layer)];
  const z = isInput ? undefined : drawing.valueOf(at("z", layer));
  const isOff = z !== undefined && isMaskedAt(numbers, layer, z);
  const width = nodeWidth / entries.length;
  return (
    <g class={`node ${isOff ? "off" : ""}`} transform={`translate(${x} ${y})`}>
      <rect class="body" width={nodeWidth} height={NODE_HEIGHT} rx="10" />
      {isOff && <rect class="hatched" width={nodeWidth} height={NODE_HEIGHT} rx="10" />}
      {entries.map((entry, index) => (
        <Half key={entry.quantity} entry={entry} x={index * width} width={width} drawing={drawing} />
      ))}
      {entries.length > 1 && <line class="divider" x1={width} x2={width} y1="7" y2={NODE_HEIGHT - 7} />}
      <Bias node={node} nodeWidth={nodeWidth} numbers={numbers} isBackward={isBackward} drawing={drawing} />
      {isOff && (
        <text class="why" x={nodeWidth / 2} y={NODE_HEIGHT + 17}>
          {isBackward ? offBackward(drawing.valueOf(at("dz", layer))) : `z = ${shortNumber(z, 3)} < 0 → 0`}
        </text>
      )}
      {layer === spec.layers.length && (
        <Target entry={at("y", 0)} nodeWidth={nodeWidth} numbers={numbers} isUpright={isUpright} drawing={drawing} />
      )}
    </g>
  );
}

/** Under a unit that is off: what that means for dz, once it is computed. */
function offBackward(dz: number | undefined): string {
  return dz === undefined ? "off" : `off: dz = ${shortNumber(dz, 3)}`;
}

/** Whether the slope of a unit at z is 0: it is off. */
export function isMaskedAt({ network }: Numbers, layer: number, z: number): boolean {
  const spec = network.spec.layers[layer - 1];
  if (!spec || !isMasking(spec)) return false;
  return network.spec.reluAtZero === 1 ? z < 0 : z <= 0;
}

interface HalfProps {
  readonly entry: Entry;
  readonly x: number;
  readonly width: number;
  readonly drawing: Drawing;
}

/** The size of the letters, and what of it a figure is wide. */
const LETTER = { size: 16.5, width: 0.64 } as const;

function Half({ entry, x, width, drawing }: HalfProps) {
  const value = drawing.valueOf(entry);
  const text = value === undefined ? "not yet" : shortNumber(value, 3);
  // Long numbers, such as −2.4·10⁻⁶, are written smaller.
  const fontSize = Math.min(LETTER.size, (width - 6) / (text.length * LETTER.width));
  return (
    <g
      class={`half ${value === undefined ? "unknown" : signOf(value)} ${drawing.classOf(entry)}`}
      data-entry={writeEntry(entry)}
      data-value={value === undefined ? undefined : exact(value)}
      {...drawing.handlers(entry)}
    >
      <rect class="reach" x={x + 2} y="2" width={width - 4} height={NODE_HEIGHT - 4} rx="8" />
      <text class="value" x={x + width / 2} y={NODE_HEIGHT / 2} dy="0.35em" style={{ fontSize: `${fontSize}px` }}>
        {text}
      </text>
    </g>
  );
}

interface BiasProps {
  readonly nodeWidth: number;
  readonly node: NodeBox;
  readonly numbers: Numbers;
  readonly isBackward: boolean;
  readonly drawing: Drawing;
}

function Bias({ node, nodeWidth, numbers, isBackward, drawing }: BiasProps) {
  if (!numbers.network.spec.layers[node.layer - 1]?.hasBias) return null;
  const quantity = isBackward ? "db" : "b";
  const entry: Entry = { quantity, layer: node.layer, row: node.unit, column: 0 };
  const value = drawing.valueOf(entry);
  return (
    <text
      class={`bias ${value === undefined ? "unknown" : signOf(value)} ${drawing.classOf(entry)}`}
      x={nodeWidth / 2}
      y="-6"
      {...drawing.handlers(entry)}
    >
      {quantity} = {value === undefined ? "not yet" : shortNumber(value, 3)}
    </text>
  );
}

interface TargetProps {
  readonly nodeWidth: number;
  readonly entry: Entry;
  readonly numbers: Numbers;
  readonly isUpright: boolean;
  readonly drawing: Drawing;
}

function Target({ entry, nodeWidth, numbers, isUpright, drawing }: TargetProps) {
  const value = valueAt(numbers, entry);
  if (value === undefined) return null;
  const place = isUpright
    ? { x: nodeWidth / 2, y: NODE_HEIGHT + 34, class: "target under" }
    : { x: nodeWidth + 12, y: NODE_HEIGHT / 2 + 5, class: "target" };
  return (
    <text {...place} {...drawing.handlers(entry)}>
      y = {shortNumber(value, 3)}
    </text>
  );
}
