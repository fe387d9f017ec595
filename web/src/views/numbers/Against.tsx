// What the numbers are compared with: the network of this page, or a model of the server.
import { useSignal, useSignalEffect } from "@preact/signals";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { readMatrix, writeMatrix } from "../../model/matrix.ts";
import { type Batch, shapeName } from "../../model/network.ts";
import { readPasted } from "../../model/pasted.ts";
import { isCompareOnly, modelNamed, type Reference } from "../../rpc/compare.ts";
import { returns } from "../../rpc/connection.ts";
import { isAborted, type Problem, problemOf } from "../../rpc/problem.ts";
import { linkTo, param, setParams } from "../../state/address.ts";
import { subject, subjectProblem } from "../../state/network.ts";

interface Props {
  readonly onChange: (next: { readonly reference: Reference; readonly batch: Batch } | undefined) => void;
}

const of = param("of");

/** The choice. */
export function Against({ onChange }: Props) {
  const isModel = of.value !== undefined;
  return (
    <fieldset class="card against">
      <legend>Compare with</legend>
      <div class="row">
        <label>
          <input type="radio" name="against" checked={!isModel} onChange={() => setParams({ of: undefined })} /> the
          network of this page
        </label>
        <label>
          <input type="radio" name="against" checked={isModel} onChange={() => setParams({ of: "" })} /> a model of the
          server
        </label>
      </div>
      {isModel ? <OfServer onChange={onChange} /> : <OfPage onChange={onChange} />}
    </fieldset>
  );
}

function OfPage({ onChange }: Props) {
  const shown = subject.value;
  useSignalEffect(() => {
    const { value } = subject;
    onChange(value && { reference: { network: value.network }, batch: value.batch });
  });
  if (subjectProblem.value) return <ProblemBox problem={subjectProblem.value} />;
  if (!shown) return <p class="quiet">Loading the network …</p>;
  const samples = shown.batch.x.rows;
  return (
    <p>
      <a href={linkTo("network")}>{shapeName(shown.network.spec)}</a>, on its {samples}{" "}
      {samples === 1 ? "sample" : "samples"}
    </p>
  );
}

function OfServer({ onChange }: Props) {
  const batch = subject.peek()?.batch;
  const x = useSignal(batch ? writeMatrix(batch.x) : "");
  const y = useSignal(batch && "targets" in batch.answers ? writeMatrix(batch.answers.targets) : "");
  const told = useSignal("");
  const problem = useSignal<Problem | undefined>(undefined);
  useSignalEffect(() => {
    const model = of.value ?? "";
    const [inputs, targets] = [matrixFrom(x.value), matrixFrom(y.value)];
    const isComplete = model !== "" && inputs && targets;
    onChange(isComplete ? { reference: { model }, batch: { x: inputs, answers: { targets } } } : undefined);
  });
  useSignalEffect(() => {
    void returns.value;
    const name = of.value ?? "";
    told.value = "";
    if (!/^sessions\/[^/]+\/models\/[^/]+$/.test(name)) return;
    const abort = new AbortController();
    modelNamed(name, abort.signal).then(
      (model) => {
        problem.value = undefined;
        told.value =
          model && isCompareOnly(model)
            ? "This model is for grading only: it shows none of its numbers, takes the batch of its creator alone, and counts your tries."
            : "";
      },
      (error: unknown) => {
        if (!abort.signal.aborted && !isAborted(error)) problem.value = problemOf(error);
      },
    );
    return () => abort.abort();
  });
  return (
    <>
      <p class="field">
        <label for="model">Name of the model</label>
        <input
          id="model"
          placeholder="sessions/lab/models/hw"
          autocapitalize="off"
          spellcheck={false}
          value={of.value}
          onChange={(event) => setParams({ of: event.currentTarget.value.trim() })}
        />
      </p>
      <p class="field">
        <label for="inputs">x, a sample in each row</label>
        <textarea
          id="inputs"
          rows={2}
          spellcheck={false}
          value={x.value}
          onInput={(e) => (x.value = e.currentTarget.value)}
        />
      </p>
      <p class="field">
        <label for="targets">y</label>
        <textarea
          id="targets"
          rows={2}
          spellcheck={false}
          value={y.value}
          onInput={(e) => (y.value = e.currentTarget.value)}
        />
      </p>
      {problem.value && <ProblemBox problem={problem.value} />}
      {told.value && <p class="quiet">{told.value}</p>}
    </>
  );
}

/** Rows between semicolons, or as they are pasted. */
function matrixFrom(text: string) {
  try {
    return readMatrix(text) ?? readPasted(text)[0]?.matrix;
  } catch {
    return undefined;
  }
}
