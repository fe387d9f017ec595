// A network that is too large to be drawn, told: a row for each layer, and the numbers of one layer at a time.
import { NumberText } from "../../components/NumberText.tsx";
import type { Numbers } from "../../model/entry.ts";
import type { Matrix } from "../../model/matrix.ts";
import { ACTIVATION_NAMES, parameterCount, shapeName } from "../../model/network.ts";
import { param, setParams } from "../../state/address.ts";

interface Props {
  readonly numbers: Numbers;
}

const layerParam = param("layer");

/** The layer whose numbers are shown, where not all are. */
export function chosenLayer(numbers: Numbers): number {
  const wanted = Number(layerParam.value ?? "1");
  return Number.isInteger(wanted) && wanted >= 0 && wanted <= numbers.network.spec.layers.length ? wanted : 1;
}

/** The table of the layers. */
export function Summary({ numbers }: Props) {
  const { spec } = numbers.network;
  const chosen = chosenLayer(numbers);
  const name = shapeName(spec);
  return (
    <div class="summary">
      <p>
        This network ({name.length > 40 ? `${spec.layers.length} layers` : name},{" "}
        {parameterCount(spec).toLocaleString("en")} parameters) is too large for a picture. Choose a layer to see its
        numbers below.
      </p>
      <div class="summary-scroll">
        <table class="plain-table">
          <thead>
            <tr>
              <th scope="col">Layer</th>
              <th scope="col">Units</th>
              <th scope="col">Activation</th>
              <th scope="col">Largest |W|</th>
              <th scope="col">Largest |dW|</th>
            </tr>
          </thead>
          <tbody>
            {spec.layers.map((layer, index) => (
              <tr key={index} class={chosen === index + 1 ? "chosen" : ""}>
                <th scope="row">
                  <button
                    type="button"
                    aria-pressed={chosen === index + 1}
                    onClick={() => setParams({ layer: String(index + 1) })}
                  >
                    {index + 1}
                  </button>
                </th>
                <td>{layer.units}</td>
                <td>{ACTIVATION_NAMES[layer.activation]}</td>
                <td>
                  <Largest matrix={numbers.network.parameters[index]?.W} />
                </td>
                <td>
                  <Largest matrix={numbers.pass?.get("dW", index + 1)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

/** The entry that is largest without its sign. */
function Largest({ matrix }: { readonly matrix: Matrix | undefined }) {
  if (!matrix) return <>not yet</>;
  let largest = 0;
  for (let k = 0; k < matrix.data.length; k++) {
    const value = matrix.data[k] ?? 0;
    if (Math.abs(value) > Math.abs(largest)) largest = value;
  }
  return <NumberText value={largest} digits={3} />;
}
