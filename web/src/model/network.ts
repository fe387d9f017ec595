// A network, its parameters and a batch: what the page shows, as plain values that know no message.
import type { Matrix } from "./matrix.ts";

export const ACTIVATIONS = ["linear", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"] as const;
export type Activation = (typeof ACTIVATIONS)[number];

export const LOSSES = ["half_squared_error", "mean_squared_error", "cross_entropy", "binary_cross_entropy"] as const;
export type Loss = (typeof LOSSES)[number];

export interface Layer {
  readonly units: number;
  readonly activation: Activation;
  readonly hasBias: boolean;
  /** Slope of leaky ReLU below 0; by default 0.01. */
  readonly leakySlope?: number;
}

/** A network without its numbers. */
export interface Spec {
  /** n₀. */
  readonly inputs: number;
  /** Layer 1 first. */
  readonly layers: readonly Layer[];
  readonly loss: Loss;
  readonly reduction: "mean" | "sum";
  /** σ′(0) of ReLU: 1 for the mask z ≥ 0, 0 for z > 0. */
  readonly reluAtZero: 0 | 1;
  readonly compute: "float64" | "float32";
  readonly learningRate: number;
  /** What trains the stored model that the network comes from, if that is more than plain SGD: "Adam". */
  readonly trainer?: string;
}

/** W and b of a layer; b is 1 × n. */
export interface LayerParameters {
  readonly W: Matrix;
  readonly b?: Matrix;
}

/** A network with its numbers. */
export interface Network {
  readonly spec: Spec;
  /** Layer 1 first. */
  readonly parameters: readonly LayerParameters[];
}

/** Samples as rows, with targets or with the class of each. */
export interface Batch {
  readonly x: Matrix;
  readonly answers: { readonly targets: Matrix } | { readonly labels: readonly number[] };
}

/** Units of each layer, the inputs first: n₀, n₁, …, n_L. */
export function sizes(spec: Spec): readonly number[] {
  return [spec.inputs, ...spec.layers.map((layer) => layer.units)];
}

/** Number of weights and biases. */
export function parameterCount(spec: Spec): number {
  const units = sizes(spec);
  return spec.layers.reduce(
    (sum, layer, index) => sum + layer.units * ((units[index] ?? 0) + Number(layer.hasBias)),
    0,
  );
}

/** The symbol of a network's shape: "4-3-2-1". */
export function shapeName(spec: Spec): string {
  return sizes(spec).join("-");
}

/** σ as mathematics writes it. */
export const ACTIVATION_NAMES: Readonly<Record<Activation, string>> = {
  linear: "linear",
  relu: "ReLU",
  leaky_relu: "leaky ReLU",
  sigmoid: "sigmoid",
  tanh: "tanh",
  gelu: "GELU",
  silu: "SiLU",
};
