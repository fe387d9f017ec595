// Why an entry has its value: the symbols, the numbers, and each factor, which lights its place in the picture.
import { Formula } from "../../components/Formula.tsx";
import { NumberText } from "../../components/NumberText.tsx";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { useCall } from "../../components/useCall.ts";
import type { Entry } from "../../model/entry.ts";
import { writeEntry } from "../../model/entry.ts";
import type { Equation, Expansion, Factor, Term } from "../../model/explanation.ts";
import { explain } from "../../rpc/explain.ts";
import { param, setParams } from "../../state/address.ts";
import { factor as lit, pick } from "../../state/gaze.ts";
import type { Subject } from "../../state/network.ts";

interface Props {
  readonly entry: Entry;
  readonly subject: Subject;
}

const LEVELS: readonly (readonly [Expansion, string])[] = [
  ["definition", "Definition"],
  ["chain", "Chain rule"],
  ["leaves", "Leaves"],
];

/** So many terms are shown at once; a longer sum is unfolded by its reader. */
const OPEN_TERMS = 4;

const expansionParam = param("expand");

/** The explanation of an entry of the pass. */
export function Why({ entry, subject }: Props) {
  const level = LEVELS.find(([name]) => name === expansionParam.value)?.[0] ?? "definition";
  const key = writeEntry(entry);
  const { value, problem } = useCall(
    async (signal) => ({ key, ...(await explain(subject.network, subject.batch, entry, level, signal)) }),
    [subject, key, level],
  );
  const [first, ...rest] = value?.key === key ? value.equations : [];
  return (
    <section class="why-entry" aria-label="Explanation" aria-busy={!first}>
      <fieldset class="segments">
        <legend class="visually-hidden">How far to go</legend>
        {LEVELS.map(([name, title]) => (
          <button
            key={name}
            type="button"
            aria-pressed={name === level}
            onClick={() => setParams({ expand: name === "definition" ? undefined : name })}
          >
            {title}
          </button>
        ))}
      </fieldset>
      {problem && <ProblemBox problem={problem} />}
      {first && <EquationBox equation={first} />}
      {rest.length > 0 && (
        <section class="leaves" aria-label="Its factors">
          {rest.map((equation) => (
            <p key={equation.text} class="leaf">
              <Formula latex={equation.latex} plain={equation.text} />
            </p>
          ))}
          {(value?.unexplained ?? 0) > 0 && <p class="quiet">{value?.unexplained} more factors are not unfolded.</p>}
        </section>
      )}
    </section>
  );
}

function EquationBox({ equation }: { readonly equation: Equation }) {
  const { terms, foldedTerms, foldedValue } = equation;
  const count = terms.length + foldedTerms;
  return (
    <>
      <Formula latex={equation.latex} plain={equation.text} display />
      <Formula latex={`= ${equation.numbersLatex}`} plain={`= ${equation.numbers}`} display />
      <details class="terms" open={count <= OPEN_TERMS}>
        <summary>{count === 1 ? "One term" : `A sum of ${count} terms`}</summary>
        <table>
          <tbody>
            {terms.map((term) => (
              <TermRow key={term.factors.map((factor) => factor.text).join("·")} term={term} />
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
    </>
  );
}

function TermRow({ term }: { readonly term: Term }) {
  return (
    <tr>
      <td>
        <span class="factors">
          {term.factors.map((factor) => (
            <FactorChip key={factor.text} factor={factor} />
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
function FactorChip({ factor }: { readonly factor: Factor }) {
  const { entry } = factor;
  const light = (on: boolean) => () => {
    lit.value = on ? entry : undefined;
  };
  const content = (
    <>
      <span class="symbol">{factor.text}</span>
      <NumberText value={factor.value} />
    </>
  );
  if (!entry) return <span class="factor">{content}</span>;
  return (
    <button
      type="button"
      class="factor"
      data-entry={writeEntry(entry)}
      onClick={() => {
        lit.value = undefined;
        pick(entry);
      }}
      onPointerEnter={light(true)}
      onPointerLeave={light(false)}
      onFocus={light(true)}
      onBlur={light(false)}
    >
      {content}
    </button>
  );
}
