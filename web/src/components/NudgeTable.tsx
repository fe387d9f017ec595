// The derivative of the loss beside what a nudge of a number does to the loss.
import { NumberText } from "./NumberText.tsx";

interface Props {
  /** The number's name. */
  readonly name: string;
  readonly h: number;
  readonly onH: (h: number) => void;
  /** The losses with the number h higher and h lower, once they are there. */
  readonly losses: readonly number[] | undefined;
  /** The derivative by the number, if the player has come to it. */
  readonly derivative: number | undefined;
  readonly derivativeName: string;
  readonly onDerivative: () => void;
}

const STEPS = [0.1, 0.01, 1e-3, 1e-4, 1e-5] as const;

/** The h of a nudge before another is chosen. */
export const FIRST_STEP = 1e-3;

/** (l(w+h) − l(w−h)) / 2h beside the derivative. Both losses are the server's; the quotient is the page's. */
export function NudgeTable({ name, h, onH, losses, derivative, derivativeName, onDerivative }: Props) {
  const [up, down] = losses ?? [];
  const quotient = up === undefined || down === undefined ? undefined : (up - down) / (2 * h);
  return (
    <div class="nudge">
      <label>
        Nudge {name} by h ={" "}
        <select value={String(h)} onChange={(event) => onH(Number(event.currentTarget.value))}>
          {STEPS.map((step) => (
            <option key={step} value={String(step)}>
              {step}
            </option>
          ))}
        </select>
      </label>
      <table class="plain-table">
        <tbody>
          <NudgeRow title={`l(${name} + h)`} value={up} digits={8} />
          <NudgeRow title={`l(${name} − h)`} value={down} digits={8} />
          <NudgeRow title="their difference / 2h" value={quotient} digits={6} />
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">
              <button type="button" class="link" onClick={onDerivative}>
                {derivativeName}
              </button>
            </th>
            <td>{derivative === undefined ? "not yet" : <NumberText value={derivative} digits={6} />}</td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

function NudgeRow({
  title,
  value,
  digits,
}: {
  readonly title: string;
  readonly value: number | undefined;
  readonly digits: number;
}) {
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>{value === undefined ? "…" : <NumberText value={value} digits={digits} />}</td>
    </tr>
  );
}
