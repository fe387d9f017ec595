// Edits: the same network or batch with one other number.
import type { Entry } from "./entry.ts";
import { type Matrix, withEntry } from "./matrix.ts";
import type { Batch, LayerParameters, Network } from "./network.ts";

interface Edited {
  readonly network: Network;
  readonly batch: Batch;
}

/** `edited` with `value` in place of an entry of W, b, x or y; unchanged for any other entry. */
export function withValue(edited: Edited, entry: Entry, value: number): Edited {
  const { network, batch } = edited;
  const { quantity, layer, row, column } = entry;
  switch (quantity) {
    case "W":
      return {
        network: withLayer(network, layer, (known) => ({ ...known, W: withEntry(known.W, row, column, value) })),
        batch,
      };
    case "b":
      return { network: withLayer(network, layer, (known) => ({ ...known, ...withBias(known.b, row, value) })), batch };
    case "x":
      return { network, batch: { ...batch, x: withEntry(batch.x, row, column, value) } };
    case "y":
      return "targets" in batch.answers
        ? { network, batch: { ...batch, answers: { targets: withEntry(batch.answers.targets, row, column, value) } } }
        : edited;
    default:
      return edited;
  }
}

function withBias(b: Matrix | undefined, unit: number, value: number): Pick<LayerParameters, "b"> {
  return b ? { b: withEntry(b, 0, unit, value) } : {};
}

function withLayer(network: Network, layer: number, change: (known: LayerParameters) => LayerParameters): Network {
  const parameters = network.parameters.map((known, index) => (index === layer - 1 ? change(known) : known));
  return { ...network, parameters };
}
