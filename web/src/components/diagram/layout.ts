// Where the units and weights of a network are drawn: layers from left to right, or from top to bottom on a narrow page.
import { type Spec, sizes } from "../../model/network.ts";

export interface NodeBox {
  /** 0 for the inputs. */
  readonly layer: number;
  readonly unit: number;
  readonly x: number;
  readonly y: number;
}

export interface EdgeLine {
  /** The layer whose weight it is. */
  readonly layer: number;
  /** The unit that it enters, and the one that it leaves: the row and the column of W. */
  readonly to: number;
  readonly from: number;
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  /** Where its value begins; absent where there is no room for it. */
  readonly label?: { readonly x: number; readonly y: number };
}

export interface LayerTitle {
  readonly layer: number;
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly isUpright: boolean;
  readonly nodeWidth: number;
  readonly nodes: readonly NodeBox[];
  readonly edges: readonly EdgeLine[];
  readonly titles: readonly LayerTitle[];
}

/** The height of a node. */
export const NODE_HEIGHT = 46;

const MOST_UNITS = 12;
const MOST_LAYERS = 12;
const MOST_EDGES = 300;
/** So many weights between two layers have their values beside them. */
const MOST_LABELS = 12;

/** Whether a network is small enough to be drawn; larger ones are told in a table. */
export function canBeDrawn(spec: Spec): boolean {
  const units = sizes(spec);
  const edges = spec.layers.reduce((sum, layer, index) => sum + layer.units * (units[index] ?? 0), 0);
  return Math.max(...units) <= MOST_UNITS && spec.layers.length <= MOST_LAYERS && edges <= MOST_EDGES;
}

/** Lays out a network. */
export function layoutOf(spec: Spec, isUpright: boolean): Layout {
  return isUpright ? upright(sizes(spec)) : lying(sizes(spec));
}

const ACROSS = { title: 50, row: 94, column: 244, margin: 6, target: 86, node: 136 } as const;

function lying(units: readonly number[]): Layout {
  const most = Math.max(...units);
  const columnStep = units.length > 6 ? ACROSS.node + 64 : ACROSS.column;
  const height = ACROSS.title + most * ACROSS.row;
  const at = (layer: number, unit: number) => ({
    x: ACROSS.margin + layer * columnStep,
    y: ACROSS.title + ((most - (units[layer] ?? 0)) / 2 + unit) * ACROSS.row + (ACROSS.row - NODE_HEIGHT) / 2,
  });
  return {
    width: ACROSS.margin + (units.length - 1) * columnStep + ACROSS.node + ACROSS.target,
    height,
    isUpright: false,
    nodeWidth: ACROSS.node,
    nodes: nodesOf(units, at),
    edges: edgesOf(units, (layer, from, to) => {
      const [start, end] = [at(layer - 1, from), at(layer, to)];
      const line = {
        x1: start.x + ACROSS.node,
        y1: start.y + NODE_HEIGHT / 2,
        x2: end.x,
        y2: end.y + NODE_HEIGHT / 2,
      };
      // At this part of the way, the labels of all weights between two layers are apart from each other.
      const part = Math.min(1 / ((units[layer] ?? 1) + 1), 0.36);
      const isRoomy = columnStep === ACROSS.column && (units[layer] ?? 0) * (units[layer - 1] ?? 0) <= MOST_LABELS;
      const label = { x: line.x1 + 7, y: line.y1 + (line.y2 - line.y1) * part };
      return { ...line, ...(isRoomy && { label }) };
    }),
    titles: units.map((_, layer) => ({ layer, x: at(layer, 0).x + ACROSS.node / 2, y: 16 })),
  };
}

const DOWN = { row: 130, column: 124, title: 30, margin: 3, node: 118 } as const;

function upright(units: readonly number[]): Layout {
  const most = Math.max(...units);
  const width = DOWN.margin * 2 + most * DOWN.column - (DOWN.column - DOWN.node);
  const at = (layer: number, unit: number) => ({
    x: DOWN.margin + ((most - (units[layer] ?? 0)) / 2 + unit) * DOWN.column,
    y: DOWN.title + layer * DOWN.row,
  });
  return {
    width: Math.max(width, 2 * DOWN.column),
    height: DOWN.title + (units.length - 1) * DOWN.row + NODE_HEIGHT + 44,
    isUpright: true,
    nodeWidth: DOWN.node,
    nodes: nodesOf(units, at),
    edges: edgesOf(units, (layer, from, to) => {
      const [start, end] = [at(layer - 1, from), at(layer, to)];
      return {
        x1: start.x + DOWN.node / 2,
        y1: start.y + NODE_HEIGHT,
        x2: end.x + DOWN.node / 2,
        y2: end.y,
      };
    }),
    titles: units.map((_, layer) => ({ layer, x: DOWN.margin, y: DOWN.title + layer * DOWN.row - 14 })),
  };
}

type At = (layer: number, unit: number) => { readonly x: number; readonly y: number };

function nodesOf(units: readonly number[], at: At): readonly NodeBox[] {
  return units.flatMap((count, layer) =>
    Array.from({ length: count }, (_, unit) => ({ layer, unit, ...at(layer, unit) })),
  );
}

type Line = Omit<EdgeLine, "layer" | "from" | "to">;

function edgesOf(
  units: readonly number[],
  line: (layer: number, from: number, to: number) => Line,
): readonly EdgeLine[] {
  return units.slice(1).flatMap((count, index) =>
    Array.from({ length: count }, (_, to) =>
      Array.from({ length: units[index] ?? 0 }, (_, from) => ({
        layer: index + 1,
        from,
        to,
        ...line(index + 1, from, to),
      })),
    ).flat(),
  );
}
