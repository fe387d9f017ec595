// A forward and a backward pass: every quantity by its name and layer, exactly as the server computed it.
import type { Matrix } from "./matrix.ts";

/** The quantities of a pass; layers count from 1, h of layer 0 is x. */
export type Quantity = "z" | "h" | "dW" | "db" | "dz" | "dh" | "dx" | "delta" | "y" | "loss";

/** Which half of a pass is looked at. */
export type Direction = "forward" | "backward";

/** A pass. */
export interface Pass {
  /** l, with the model's reduction. */
  readonly loss: number;
  readonly samples: number;
  readonly accuracy?: number;
  /** The matrix of a quantity; undefined where the network has none, such as db without a bias. */
  get(quantity: Quantity, layer: number): Matrix | undefined;
}
