// Why an entry has its value: equations of terms of factors, as the server explains them.
import type { Entry } from "./entry.ts";

/** How far an explanation goes: the definition, the chain rule down to δ, or everything down to inputs and weights. */
export type Expansion = "definition" | "chain" | "leaves";

export interface Factor {
  readonly value: number;
  readonly text: string;
  readonly latex: string;
  /** The entry that it is, or on which it depends. */
  readonly entry?: Entry;
}

/** A product. */
export interface Term {
  readonly value: number;
  readonly factors: readonly Factor[];
}

/** A value as a sum of products. */
export interface Equation {
  /** The left side; absent for a residual. */
  readonly entry?: Entry;
  readonly value: number;
  readonly terms: readonly Term[];
  /** Number of terms that `terms` leaves out, and their sum. */
  readonly foldedTerms: number;
  readonly foldedValue: number;
  readonly text: string;
  readonly latex: string;
  readonly numbers: string;
  readonly numbersLatex: string;
}

export interface Explanation {
  /** The equation of the entry, then those of its factors. */
  readonly equations: readonly Equation[];
  /** Number of factors that would be explained further, but for the server's limits. */
  readonly unexplained: number;
}
