// Entries: which number of which quantity, how it is called, and where it is found. Indices count from 0 here; names count
// from 1, as mathematics does.
import type { Matrix } from "./matrix.ts";
import type { Batch, Network } from "./network.ts";
import { lowered, raised } from "./number.ts";
import type { Pass, Quantity } from "./pass.ts";

/** Everything that has entries on the page: what a pass computes, and what it is computed from. */
export type Shown = Quantity | "W" | "b" | "x";

/** One number. */
export interface Entry {
  readonly quantity: Shown;
  /** From 1; 0 for x, dx, y, delta and loss. */
  readonly layer: number;
  /** A sample; a unit for W, b and their gradients. */
  readonly row: number;
  readonly column: number;
}

/** A quantity of a layer. */
export type Place = Pick<Entry, "quantity" | "layer">;

const SYMBOL: Readonly<Record<Shown, string>> = {
  W: "W",
  b: "b",
  x: "x",
  y: "y",
  z: "z",
  h: "h",
  dW: "dW",
  db: "db",
  dz: "dz",
  dh: "dh",
  dx: "dx",
  delta: "δ",
  loss: "l",
};

/** Quantities with one index: a unit, or a sample. */
const VECTORS: ReadonlySet<Shown> = new Set(["b", "db", "loss"]);

/** The symbol of a quantity: "dW²", "δ". */
export function symbolOf({ quantity, layer }: Place): string {
  return SYMBOL[quantity] + (layer > 0 ? raised(String(layer)) : "");
}

/** The symbol in LaTeX: `dW^{2}`. */
export function latexOf({ quantity, layer }: Place): string {
  const letter = quantity === "delta" ? "\\delta" : SYMBOL[quantity];
  return layer > 0 ? `${letter}^{${layer}}` : letter;
}

/** The name of an entry as the server writes it: "dW²₁₂", "δ₁", "x₁₁,₃". */
export function nameOf(entry: Entry, matrix: Matrix | undefined): string {
  const isSingle = (entry.quantity === "delta" || entry.quantity === "y") && matrix?.columns === 1;
  const first = entry.row + 1;
  if (VECTORS.has(entry.quantity) || isSingle) return symbolOf(entry) + lowered(String(first));
  const second = entry.column + 1;
  const isLong = first > 9 || second > 9;
  return symbolOf(entry) + lowered(String(first)) + (isLong ? "," : "") + lowered(String(second));
}

/** A quantity of a layer in an address and in the DOM: "dW2", "delta". */
export function writePlace({ quantity, layer }: Place): string {
  return `${quantity}${layer || ""}`;
}

/** An entry in an address: "dW2.1.3". */
export function writeEntry(entry: Entry): string {
  return `${writePlace(entry)}.${entry.row + 1}.${entry.column + 1}`;
}

/** Reads what `writeEntry` wrote. */
export function readEntry(text: string | undefined): Entry | undefined {
  const match = /^(dW|db|dz|dh|dx|delta|W|b|x|y|z|h)(\d{0,2})\.(\d{1,6})\.(\d{1,6})$/.exec(text ?? "");
  if (!match) return undefined;
  const [, quantity, layer, row, column] = match;
  return { quantity: quantity as Shown, layer: Number(layer), row: Number(row) - 1, column: Number(column) - 1 };
}

/** Whether two entries are the same. */
export function isSame(a: Entry | undefined, b: Entry | undefined): boolean {
  return a !== undefined && b !== undefined && writeEntry(a) === writeEntry(b);
}

/** What the numbers of the page are looked up in. */
export interface Numbers {
  readonly network: Network;
  readonly batch: Batch;
  readonly pass: Pass | undefined;
}

/** The matrix of a quantity; undefined where the network has none, or while the pass is not there. */
export function matrixAt({ network, batch, pass }: Numbers, { quantity, layer }: Place): Matrix | undefined {
  switch (quantity) {
    case "W":
      return network.parameters[layer - 1]?.W;
    case "b":
      return network.parameters[layer - 1]?.b;
    case "x":
      return batch.x;
    case "y":
      return "targets" in batch.answers ? batch.answers.targets : pass?.get("y", 0);
    default:
      return pass?.get(quantity, layer);
  }
}

/** The value of an entry. */
export function valueAt(numbers: Numbers, entry: Entry): number | undefined {
  const matrix = matrixAt(numbers, entry);
  if (!matrix) return undefined;
  const index = VECTORS.has(entry.quantity) ? entry.row : entry.row * matrix.columns + entry.column;
  return entry.column < matrix.columns || VECTORS.has(entry.quantity) ? matrix.data[index] : undefined;
}

/** The entry in a cell of the table of a quantity: a vector is shown as one row. */
export function entryInCell(place: Place, row: number, column: number): Entry {
  return VECTORS.has(place.quantity) ? { ...place, row: column, column: 0 } : { ...place, row, column };
}

/** ∂l/∂ of a parameter, an input or an activation: where its gradient is. */
export function gradientOf(entry: Entry): Entry | undefined {
  const gradients: Partial<Record<Shown, Quantity>> = { W: "dW", b: "db", x: "dx", z: "dz", h: "dh" };
  const quantity = gradients[entry.quantity];
  return quantity && { ...entry, quantity };
}

/** The parameter or input that an entry of a gradient belongs to. */
export function editableOf(entry: Entry): Entry | undefined {
  const owners: Partial<Record<Shown, Shown>> = { W: "W", b: "b", x: "x", y: "y", dW: "W", db: "b", dx: "x" };
  const quantity = owners[entry.quantity];
  return quantity && { ...entry, quantity };
}
