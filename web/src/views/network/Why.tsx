// Why an entry has its value: the symbols, the numbers, and each factor, which lights its place in the picture.
import { Formula } from "../../components/Formula.tsx";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { Terms } from "../../components/Terms.tsx";
import { useCall } from "../../components/useCall.ts";
import type { Entry } from "../../model/entry.ts";
import { writeEntry } from "../../model/entry.ts";
import type { Expansion } from "../../model/explanation.ts";
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

const expansionParam = param("expand");

function light(entry: Entry | undefined): void {
  lit.value = entry;
}

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
      {first && (
        <>
          <Formula latex={first.latex} plain={first.text} display />
          <Formula latex={`= ${first.numbersLatex}`} plain={`= ${first.numbers}`} display />
          <Terms equation={first} onLight={light} onPick={pick} />
        </>
      )}
      {rest.length > 0 && (
        <section class="leaves" aria-label="Its factors" tabIndex={0}>
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
