// The heading of a layer in the picture: which layer, and which quantities its units show.
import { ACTIVATION_NAMES, type Spec } from "../../model/network.ts";
import { raised } from "../../model/number.ts";
import type { Direction } from "../../model/pass.ts";
import type { LayerTitle } from "./layout.ts";

interface Props {
  readonly title: LayerTitle;
  readonly spec: Spec;
  readonly direction: Direction;
  readonly isUpright: boolean;
}

/** "Layer 1 · ReLU" over "z¹ | h¹"; on one line where the layers are stacked. */
export function LayerTitleText({ title, spec, direction, isUpright }: Props) {
  const layer = spec.layers[title.layer - 1];
  const d = direction === "backward" ? "d" : "";
  const up = raised(String(title.layer));
  const name = layer ? `Layer ${title.layer} · ${ACTIVATION_NAMES[layer.activation]}` : "Inputs";
  const shows = layer ? `${d}z${up} | ${d}h${up}` : `${d}x`;
  return (
    <text class={`layer-title ${isUpright ? "upright" : ""}`} x={title.x} y={title.y}>
      {name}
      {isUpright ? (
        <tspan class="shows" dx="10">
          {shows}
        </tspan>
      ) : (
        <tspan class="shows" x={title.x} dy="20">
          {shows}
        </tspan>
      )}
    </text>
  );
}
