// Explain: one entry of a pass as the terms and factors that it is the sum of.
import {
  FactorKind,
  Quantity as Pb,
  type Equation as PbEquation,
  Expansion as PbExpansion,
  type QuantityEntry,
} from "../gen/backprop/v1/training_service_pb.ts";
import type { Entry, Shown } from "../model/entry.ts";
import type { Equation, Expansion, Explanation } from "../model/explanation.ts";
import type { Batch, Network } from "../model/network.ts";
import { batchMessage, inlineTarget } from "./convert.ts";
import { QUANTITY } from "./pass.ts";
import { read } from "./read.ts";
import { trainingService } from "./services.ts";

const EXPANSION: Readonly<Record<Expansion, PbExpansion>> = {
  definition: PbExpansion.NONE,
  chain: PbExpansion.CHAIN,
  leaves: PbExpansion.LEAVES,
};

const SHOWN: ReadonlyMap<Pb, Shown> = new Map([
  ...Object.entries(QUANTITY).map(([name, quantity]) => [quantity, name as Shown] as const),
  [Pb.W, "W"],
  [Pb.B, "b"],
  [Pb.X, "x"],
]);

/** Asks why an entry has its value. */
export async function explain(
  network: Network,
  batch: Batch,
  entry: Entry,
  expansion: Expansion,
  signal?: AbortSignal,
): Promise<Explanation> {
  const { quantity, layer, row, column } = entry;
  const request = {
    target: inlineTarget(network),
    ...batchMessage(batch),
    quantity: quantity in QUANTITY ? QUANTITY[quantity as keyof typeof QUANTITY] : Pb.UNSPECIFIED,
    layer,
    row: row + 1,
    column: column + 1,
    expand: EXPANSION[expansion],
  };
  const response = await read((options) => trainingService.explain(request, options), signal);
  return { equations: response.equations.map(equationFrom), unexplained: response.unexplained };
}

function equationFrom(equation: PbEquation): Equation {
  const entry = entryFrom(equation.entry);
  return {
    ...(entry && equation.kind === FactorKind.ENTRY && { entry }),
    value: equation.value ?? Number.NaN,
    terms: equation.terms.map((term) => ({
      value: term.value ?? Number.NaN,
      factors: term.factors.map((factor) => {
        const of = entryFrom(factor.entry);
        return { value: factor.value ?? Number.NaN, text: factor.text, latex: factor.latex, ...(of && { entry: of }) };
      }),
    })),
    foldedTerms: equation.foldedTerms,
    foldedValue: equation.foldedValue,
    text: equation.text,
    latex: equation.latex,
    numbers: equation.numbers,
    numbersLatex: equation.numbersLatex,
  };
}

function entryFrom(entry: QuantityEntry | undefined): Entry | undefined {
  const quantity = entry && SHOWN.get(entry.quantity);
  return quantity && { quantity, layer: entry.layer, row: entry.row - 1, column: entry.column - 1 };
}
