// A network as a picture: a unit with its z and h, or dz and dh; a weight or its gradient as a line, its size as the width,
// its sign by colour and dash. It shows what it is given and makes no calls, so that a notebook can show it too.
import { useMemo } from "preact/hooks";
import { type Entry, isSame, type Numbers, valueAt, writeEntry } from "../../model/entry.ts";
import type { Direction } from "../../model/pass.ts";
import { Edge } from "./Edge.tsx";
import { LayerTitleText } from "./LayerTitleText.tsx";
import { layoutOf } from "./layout.ts";
import { NetworkNode } from "./NetworkNode.tsx";

/** What a picture shows, and what it tells of the pointer. */
export interface DiagramProps {
  readonly numbers: Numbers;
  /** The sample whose z and h are shown, from 0. */
  readonly sample: number;
  readonly direction: Direction;
  /** Layers from top to bottom. */
  readonly isUpright: boolean;
  /** Whether an entry is computed yet; others say "not yet". */
  readonly isKnown: (entry: Entry) => boolean;
  /** Whether an entry is what the player computes now. */
  readonly isCurrent: (entry: Entry) => boolean;
  /** Entries to light, by `writeEntry`. */
  readonly lit: ReadonlySet<string>;
  readonly picked: Entry | undefined;
  readonly onPick: (entry: Entry) => void;
  readonly onPoint: (entry: Entry | undefined) => void;
}

/** What a part of the picture needs to draw an entry. */
export interface Drawing {
  readonly valueOf: (entry: Entry) => number | undefined;
  readonly classOf: (entry: Entry) => string;
  readonly handlers: (entry: Entry) => {
    readonly onClick: () => void;
    readonly onPointerEnter: () => void;
    readonly onPointerLeave: () => void;
  };
}

/** The picture. Its numbers are in tables beside it, where a keyboard and a screen reader find them. */
export function Diagram(props: DiagramProps) {
  const { numbers, sample, direction, isUpright, isKnown, isCurrent, lit, picked, onPick, onPoint } = props;
  const { spec } = numbers.network;
  const layout = useMemo(() => layoutOf(spec, isUpright), [spec, isUpright]);
  const drawing: Drawing = {
    valueOf: (entry) => (isKnown(entry) ? valueAt(numbers, entry) : undefined),
    classOf: (entry) =>
      [lit.has(writeEntry(entry)) && "lit", isSame(entry, picked) && "picked", isCurrent(entry) && "current"]
        .filter(Boolean)
        .join(" "),
    handlers: (entry) => ({
      onClick: () => onPick(entry),
      onPointerEnter: () => onPoint(entry),
      onPointerLeave: () => onPoint(undefined),
    }),
  };
  const weights = direction === "forward" ? "W" : "dW";
  const largest = largestWeight(numbers, weights);
  const label = `The network ${spec.inputs}-${spec.layers.map((layer) => layer.units).join("-")}, ${direction}, sample ${sample + 1}. Its numbers are in the tables below.`;
  return (
    <div class="diagram-scroll" tabIndex={0}>
      <svg
        class={`diagram ${direction}`}
        role="img"
        aria-label={label}
        viewBox={`0 0 ${layout.width} ${layout.height}`}
        style={{
          minWidth: `${layout.width * 0.6}px`,
          maxWidth: `${layout.width * 2.4}px`,
          // A small network is seen whole; a tall one stays readable.
          maxHeight: `max(66vh, ${layout.height * 0.85}px)`,
        }}
      >
        <defs>
          <pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <line class="hatch" x1="0" y1="0" x2="0" y2="7" />
          </pattern>
        </defs>
        {layout.edges.map((edge) => (
          <Edge
            key={`${edge.layer}.${edge.to}.${edge.from}`}
            edge={edge}
            entry={{ quantity: weights, layer: edge.layer, row: edge.to, column: edge.from }}
            largest={largest}
            drawing={drawing}
          />
        ))}
        {layout.titles.map((title) => (
          <LayerTitleText key={title.layer} title={title} spec={spec} direction={direction} isUpright={isUpright} />
        ))}
        {layout.nodes.map((node) => (
          <NetworkNode
            key={`${node.layer}.${node.unit}`}
            node={node}
            nodeWidth={layout.nodeWidth}
            numbers={numbers}
            sample={sample}
            direction={direction}
            isUpright={isUpright}
            drawing={drawing}
          />
        ))}
      </svg>
    </div>
  );
}

/** The largest |w| or |dW|: lines are as wide as their share of it. */
function largestWeight({ network, pass }: Numbers, quantity: "W" | "dW"): number {
  let largest = 0;
  network.parameters.forEach(({ W }, index) => {
    const matrix = quantity === "W" ? W : pass?.get("dW", index + 1);
    for (let k = 0; matrix && k < matrix.data.length; k++) largest = Math.max(largest, Math.abs(matrix.data[k] ?? 0));
  });
  return largest;
}
