// Names of gradients, as people write them: dW2, db_1, dz[1], delta.
import { Quantity } from "../gen/backprop/v1/training_service_pb.ts";

/** A gradient of a layer; layer 0 for dx and δ. */
export interface GradientName {
  readonly quantity: Quantity;
  readonly layer: number;
}

/** The gradients that can be compared, as a choice. */
export const KINDS = [
  { word: "dW", quantity: Quantity.D_W, hasLayer: true },
  { word: "db", quantity: Quantity.D_B, hasLayer: true },
  { word: "dz", quantity: Quantity.D_Z, hasLayer: true },
  { word: "dh", quantity: Quantity.D_H, hasLayer: true },
  { word: "dx", quantity: Quantity.D_X, hasLayer: false },
  { word: "δ", quantity: Quantity.DELTA, hasLayer: false },
] as const;

/** Reads a name; undefined if it is none of a gradient. */
export function gradientNamed(name: string): GradientName | undefined {
  const match = /^(?:grad_?|d)(W|b|z|h|a|x)[_^]?(?:\[(\d+)\]|(\d+))?$/i.exec(name.replace(/^grads?\./, ""));
  if (/^(delta|δ)$/i.test(name)) return { quantity: Quantity.DELTA, layer: 0 };
  if (!match) return undefined;
  const letter = (match[1] ?? "").toLowerCase().replace("a", "h");
  const kind = KINDS.find(({ word }) => word.toLowerCase() === `d${letter}`);
  if (!kind) return undefined;
  const layer = Number(match[2] ?? match[3] ?? 0);
  if (kind.hasLayer !== layer > 0) return undefined;
  return { quantity: kind.quantity, layer };
}

/** A gradient as mathematics writes it: dW². */
export function writtenName({ quantity, layer }: GradientName): string {
  const word = KINDS.find((kind) => kind.quantity === quantity)?.word ?? "?";
  return layer > 0 ? `${word}${raisedNumber(layer)}` : word;
}

function raisedNumber(value: number): string {
  return Array.from(String(value), (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]).join("");
}
