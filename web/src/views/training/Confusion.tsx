// The held-out rows by true and predicted class.

import { NumberText } from "../../components/NumberText.tsx";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { inputProblem } from "../../rpc/problem.ts";
import { may } from "../../state/caller.ts";
import { dataset, evaluate, evaluation } from "../../state/training.ts";
import { percent } from "./Status.tsx";

/** The evaluation, and its table. */
export function Confusion() {
  const found = evaluation.value;
  const data = dataset.value;
  if (!data) return null;
  if (!may("Evaluate")) return <ProblemBox problem={inputProblem("Your role may not evaluate models.")} />;
  return (
    <section class="confusion card" aria-labelledby="evaluation">
      <h2 id="evaluation" class="row">
        On held-out rows
        <button type="button" onClick={() => void evaluate()}>
          {found ? "Evaluate again" : "Evaluate"}
        </button>
      </h2>
      {found && (
        <p>
          {String(found.rows)} rows at step {String(found.step)}
          {found.loss !== undefined && (
            <>
              : loss <NumberText value={found.loss} />
            </>
          )}
          {found.accuracy !== undefined && `, accuracy ${percent(found.accuracy)}`}
          {found.r2 !== undefined && (
            <>
              , R² <NumberText value={found.r2} />
            </>
          )}
        </p>
      )}
      {found?.confusionMatrix && (
        <Table counts={found.confusionMatrix.counts} names={namesOf(data.classNames, found.confusionMatrix.classes)} />
      )}
    </section>
  );
}

function namesOf(names: readonly string[], classes: number): readonly string[] {
  return Array.from({ length: classes }, (_, at) => names[at] ?? String(at));
}

function Table({ counts, names }: { readonly counts: readonly bigint[]; readonly names: readonly string[] }) {
  const most = Math.max(1, ...counts.map(Number));
  return (
    <div class="matrix-scroll">
      <table class="plain confusion-table">
        <caption>Rows are the true classes, columns the predicted ones.</caption>
        <thead>
          <tr>
            <td />
            {names.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((name, row) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {names.map((predicted, column) => {
                const count = counts[row * names.length + column] ?? 0n;
                const share = Number(count) / most;
                return (
                  <td
                    key={predicted}
                    class={row === column ? "diagonal" : count > 0n ? "off" : "none"}
                    style={{ "--share": `${Math.round(100 * share)}%` }}
                  >
                    {String(count)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
