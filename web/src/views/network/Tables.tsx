// Every number of the picture in tables, layer by layer.
import type { Numbers, Place } from "../../model/entry.ts";
import { ACTIVATION_NAMES } from "../../model/network.ts";
import { direction } from "../../state/gaze.ts";
import { EntryTable } from "./EntryTable.tsx";

interface Props {
  readonly numbers: Numbers;
  /** Only this layer, for networks with too many; 0 is the inputs. */
  readonly only?: number;
}

/** Tables of all layers in the current direction. */
export function Tables({ numbers, only }: Props) {
  const { spec } = numbers.network;
  const last = spec.layers.length;
  const isBackward = direction.value === "backward";
  const layers = Array.from({ length: last + 1 }, (_, layer) => layer).filter(
    (layer) => only === undefined || layer === only,
  );
  return (
    <section class="tables" aria-label="The numbers of the picture">
      {layers.map((layer) => {
        const bias = spec.layers[layer - 1]?.hasBias ?? false;
        return (
          <section key={layer} class="layer">
            <h3>{titleOf(numbers, layer)}</h3>
            <div class="layer-tables">
              {(isBackward ? backwardPlaces(layer, last, bias) : forwardPlaces(layer, last, bias)).map((place) => (
                <EntryTable key={`${place.quantity}${place.layer}`} place={place} numbers={numbers} />
              ))}
            </div>
          </section>
        );
      })}
    </section>
  );
}

function titleOf({ network }: Numbers, layer: number): string {
  const spec = network.spec.layers[layer - 1];
  return spec ? `Layer ${layer} · ${ACTIVATION_NAMES[spec.activation]}` : "Inputs";
}

function forwardPlaces(layer: number, last: number, bias: boolean): readonly Place[] {
  if (layer === 0) return [{ quantity: "x", layer: 0 }];
  return [
    { quantity: "W", layer },
    ...(bias ? [{ quantity: "b", layer } as const] : []),
    { quantity: "z", layer },
    { quantity: "h", layer },
    ...(layer === last
      ? ([
          { quantity: "y", layer: 0 },
          { quantity: "loss", layer: 0 },
        ] as const)
      : []),
  ];
}

function backwardPlaces(layer: number, last: number, bias: boolean): readonly Place[] {
  if (layer === 0) return [{ quantity: "dx", layer: 0 }];
  return [
    ...(layer === last
      ? [{ quantity: "delta", layer: 0 } as const]
      : [{ quantity: "dh", layer } as const, { quantity: "dz", layer } as const]),
    { quantity: "dW", layer },
    ...(bias ? [{ quantity: "db", layer } as const] : []),
  ];
}
