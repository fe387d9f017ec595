// The network: its numbers, forward and backward.
import { MatrixTable } from "../components/MatrixTable.tsx";
import { NumberText } from "../components/NumberText.tsx";
import { ProblemBox } from "../components/ProblemBox.tsx";
import { pass, subject, subjectProblem } from "../state/network.ts";

/** The view. */
export default function NetworkView() {
  const problem = subjectProblem.value;
  const shown = subject.value;
  return (
    <>
      <h1>Network</h1>
      {problem && <ProblemBox problem={problem} />}
      {pass.value && (
        <p>
          l = <NumberText value={pass.value.loss} />
        </p>
      )}
      <div class="row">
        {shown?.network.parameters.map(({ W }, index) => {
          const dW = pass.value?.get("dW", index + 1);
          const name = `dW${index + 1}`;
          return [W, dW].map(
            (matrix, k) =>
              matrix && (
                <MatrixTable
                  key={`${name}${k}`}
                  matrix={matrix}
                  caption={k ? name : `W${index + 1}`}
                  nameOf={(c) => `${name}[${c.row + 1},${c.column + 1}]`}
                />
              ),
          );
        })}
      </div>
    </>
  );
}
