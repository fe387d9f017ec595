// The right side of an equation as a table: a row for each term, its factors, and their product.
import type { Entry } from "../model/entry.ts";
import { writeEntry } from "../model/entry.ts";
import type { Equation, Factor, Term } from "../model/explanation.ts";
import { NumberText } from "./NumberText.tsx";

/** What happens with the factors of a sum. */
export interface TermsEvents {
  /** A factor is pointed at, or no longer. */
  readonly onLight: (entry: Entry | undefined) => void;
  /** A factor is chosen, to be explained in turn. */
  readonly onPick: (entry: Entry) => void;
}

interface Props extends TermsEvents {
  readonly equation: Equation;
}

/** So many terms are shown at once; a longer sum is unfolded by its reader. */
const OPEN_TERMS = 4;

/** The terms of an equation. */
export function Terms({ equation, ...events }: Props) {
  const { terms, foldedTerms, foldedValue } = equation;
  const count = terms.length + foldedTerms;
  return (
    <details class="terms" open={count <= OPEN_TERMS}>
      <summary>{count === 1 ? "One term" : `A sum of ${count} terms`}</summary>
      <table>
        <tbody>
          {terms.map((term) => (
            <TermRow key={term.factors.map((factor) => factor.text).join("·")} term={term} {...events} />
          ))}
          {foldedTerms > 0 && (
            <tr>
              <td class="quiet">{foldedTerms} more terms</td>
              <td>
                <NumberText value={foldedValue} />
              </td>
            </tr>
          )}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">=</th>
            <td>
              <NumberText value={equation.value} digits={6} />
            </td>
          </tr>
        </tfoot>
      </table>
    </details>
  );
}

function TermRow({ term, ...events }: TermsEvents & { readonly term: Term }) {
  return (
    <tr>
      <td>
        <span class="factors">
          {term.factors.map((factor) => (
            <FactorChip key={factor.text} factor={factor} {...events} />
          ))}
        </span>
      </td>
      <td>
        <NumberText value={term.value} />
      </td>
    </tr>
  );
}

/** A factor; choosing it explains the entry that it is. */
function FactorChip({ factor, onLight, onPick }: TermsEvents & { readonly factor: Factor }) {
  const { entry } = factor;
  const content = (
    <>
      <span class="symbol">{factor.text}</span>
      <NumberText value={factor.value} />
    </>
  );
  if (!entry) return <span class="factor">{content}</span>;
  const light = () => onLight(entry);
  const darken = () => onLight(undefined);
  return (
    <button
      type="button"
      class="factor"
      data-entry={writeEntry(entry)}
      onClick={() => {
        darken();
        onPick(entry);
      }}
      onPointerEnter={light}
      onPointerLeave={darken}
      onFocus={light}
      onBlur={darken}
    >
      {content}
    </button>
  );
}
