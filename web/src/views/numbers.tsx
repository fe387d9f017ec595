// The reader's own numbers: pasted gradients, compared with those of a network.
import "../styles/grading.css";
import { batch as together, useComputed, useSignal } from "@preact/signals";
import { say } from "../components/Live.tsx";
import { ProblemBox } from "../components/ProblemBox.tsx";
import { Verdict } from "../components/Verdict.tsx";
import { type GradeGradientsResponse, TolerancePreset } from "../gen/backprop/v1/grading_service_pb.ts";
import type { Batch } from "../model/network.ts";
import { type Pasted, readPasted, UnreadableNumbers } from "../model/pasted.ts";
import { type GradientName, gradientNamed, KINDS, writtenName } from "../model/quantity.ts";
import { lookOf } from "../model/verdict.ts";
import { compareGradients, type Reference, type Submitted } from "../rpc/compare.ts";
import { inputProblem, isAborted, type Problem, problemOf } from "../rpc/problem.ts";
import { param, setParams } from "../state/address.ts";
import { may } from "../state/caller.ts";
import { Against } from "./numbers/Against.tsx";
import { TensorResult } from "./numbers/TensorResult.tsx";

/** A longer text is not part of the link. */
const MOST_IN_ADDRESS = 2000;

const inAddress = param("numbers");
const gradient = param("as");

/** What the server said, and of which numbers. */
interface Compared {
  readonly submitted: readonly Submitted[];
  readonly reply: GradeGradientsResponse;
}

/** The view. */
export default function Numbers() {
  const text = useSignal(inAddress.value ?? "");
  const against = useSignal<{ readonly reference: Reference; readonly batch: Batch } | undefined>(undefined);
  const compared = useSignal<Compared | undefined>(undefined);
  const problem = useSignal<Problem | undefined>(undefined);
  const isBusy = useSignal(false);
  const tolerance = useSignal(TolerancePreset.UNSPECIFIED);
  const read = useComputed(() => readText(text.value, gradient.value ?? "dW1"));

  const type = (value: string) => {
    text.value = value;
    setParams({ numbers: value && value.length <= MOST_IN_ADDRESS ? value : undefined });
  };
  const compare = async (event: Event) => {
    event.preventDefault();
    const { value } = read;
    if (!against.value || !("tensors" in value) || value.tensors.length === 0 || isBusy.value) return;
    isBusy.value = true;
    const submitted = value.tensors;
    const chosen = tolerance.value || toleranceOf(submitted);
    const { reference, batch } = against.value;
    try {
      const isModel = "model" in reference;
      const asked = isModel && !tolerance.value ? TolerancePreset.UNSPECIFIED : chosen;
      const reply = await compareGradients(reference, batch, submitted, asked);
      together(() => {
        compared.value = { submitted, reply };
        problem.value = undefined;
      });
      say(spoken(compared.peek()));
    } catch (error) {
      if (!isAborted(error)) problem.value = problemOf(error);
    } finally {
      isBusy.value = false;
    }
  };

  if (!may("GradeGradients")) return <ProblemBox problem={inputProblem("Your role may not compare gradients.")} />;
  const { value } = read;
  return (
    <>
      <h1>My numbers</h1>
      <p>Paste a gradient that your code computed. The server says which entries are right, and what went wrong.</p>
      <Against onChange={(next) => (against.value = next)} />
      <form class="card numbers" onSubmit={compare}>
        <label for="numbers">
          A matrix: what numpy or torch prints, a list, or JSON. Several need names: <code>dW1 = …</code>
        </label>
        <textarea
          id="numbers"
          rows={7}
          spellcheck={false}
          autocapitalize="off"
          placeholder={"dW1 = array([[ 0.5 , -1.2 ],\n             [ 0.25,  3.  ]])"}
          aria-describedby="numbers-read"
          value={text.value}
          onInput={(event) => type(event.currentTarget.value)}
        />
        <div id="numbers-read" class="reading">
          {"error" in value ? (
            <p class="unread">{value.error}</p>
          ) : value.tensors.length > 0 ? (
            <p>Read: {value.tensors.map(describe).join(", ")}</p>
          ) : (
            <p class="quiet">What is read appears here.</p>
          )}
        </div>
        <div class="row">
          {"tensors" in value && value.isNameless && <NameChoice />}
          <ToleranceChoice
            chosen={tolerance.value}
            automatic={"tensors" in value ? toleranceOf(value.tensors) : TolerancePreset.EXACT}
            onChoose={(next) => (tolerance.value = next)}
          />
          <button
            type="submit"
            class="primary"
            disabled={!against.value || "error" in value || value.tensors.length === 0 || isBusy.value}
          >
            Compare
          </button>
        </div>
      </form>
      {problem.value && <ProblemBox problem={problem.value} />}
      {compared.value && <Results {...compared.value} />}
    </>
  );
}

function Results({ submitted, reply }: Compared) {
  return (
    <section class="results" aria-labelledby="results">
      <h2 id="results">
        Result: <Verdict verdict={reply.verdict} />
      </h2>
      {reply.triesLeft !== undefined && <p>{reply.triesLeft} comparisons are left with this model.</p>}
      {reply.tensors.map((report, at) => {
        const tensor = submitted[at];
        return tensor && <TensorResult key={`${report.quantity} ${report.layer}`} report={report} tensor={tensor} />;
      })}
    </section>
  );
}

type Read = { readonly tensors: readonly Submitted[]; readonly isNameless: boolean } | { readonly error: string };

/** Reads the pasted text; a single matrix without a name is the chosen gradient. */
function readText(text: string, chosen: string): Read {
  if (!text.trim()) return { tensors: [], isNameless: true };
  try {
    const pasted = readPasted(text);
    const isNameless = pasted.length === 1 && !pasted[0]?.name;
    return { tensors: pasted.map((one) => named(one, chosen)), isNameless };
  } catch (error) {
    if (error instanceof UnreadableNumbers) return { error: error.message };
    throw error;
  }
}

function named(pasted: Pasted, chosen: string): Submitted {
  const name = gradientNamed(pasted.name || chosen);
  if (!name) {
    throw new UnreadableNumbers(
      `“${pasted.name}” is no gradient. Names are dW1, db1, dz1, dh1 with the layer's number, dx and delta.`,
    );
  }
  return { name, pasted };
}

function describe({ name, pasted }: Submitted): string {
  const { rows, columns } = pasted.matrix;
  const shape = pasted.axes === 2 ? `${rows} × ${columns}` : `${columns} ${columns === 1 ? "entry" : "entries"}`;
  return `${writtenName(name)}, ${shape}`;
}

function NameChoice() {
  const chosen: GradientName = gradientNamed(gradient.value ?? "dW1") ?? { quantity: KINDS[0].quantity, layer: 1 };
  const kind = KINDS.find(({ quantity }) => quantity === chosen.quantity) ?? KINDS[0];
  const choose = (word: string, layer: number) => {
    const { hasLayer } = KINDS.find((one) => one.word === word) ?? KINDS[0];
    setParams({ as: hasLayer ? `${word}${Math.max(1, layer)}` : word });
  };
  return (
    <>
      <label for="kind">This is</label>
      <select id="kind" value={kind.word} onChange={(event) => choose(event.currentTarget.value, chosen.layer)}>
        {KINDS.map(({ word }) => (
          <option key={word} value={word}>
            {word}
          </option>
        ))}
      </select>
      {kind.hasLayer && (
        <>
          <label for="layer">of layer</label>
          <input
            id="layer"
            type="number"
            min={1}
            max={1000}
            value={chosen.layer}
            onChange={(event) => choose(kind.word, event.currentTarget.valueAsNumber || 1)}
          />
        </>
      )}
    </>
  );
}

const TOLERANCES: readonly (readonly [TolerancePreset, string])[] = [
  [TolerancePreset.EXACT, "7 digits"],
  [TolerancePreset.FLOAT32, "4 digits"],
  [TolerancePreset.FINITE_DIFFERENCE, "2 digits"],
];

/** As many digits as the numbers have: what is printed is rounded. */
function toleranceOf(submitted: readonly Submitted[]): TolerancePreset {
  const digits = Math.min(...submitted.map(({ pasted }) => pasted.digits));
  if (digits >= 12) return TolerancePreset.EXACT;
  return digits >= 6 ? TolerancePreset.FLOAT32 : TolerancePreset.FINITE_DIFFERENCE;
}

interface ToleranceProps {
  readonly chosen: TolerancePreset;
  readonly automatic: TolerancePreset;
  readonly onChoose: (chosen: TolerancePreset) => void;
}

function ToleranceChoice({ chosen, automatic, onChoose }: ToleranceProps) {
  const digits = TOLERANCES.find(([preset]) => preset === automatic)?.[1];
  return (
    <>
      <label for="tolerance">Compare</label>
      <select
        id="tolerance"
        value={String(chosen)}
        onChange={(event) => onChoose(Number(event.currentTarget.value) as TolerancePreset)}
      >
        <option value={String(TolerancePreset.UNSPECIFIED)}>as many digits as there are ({digits})</option>
        {TOLERANCES.map(([preset, name]) => (
          <option key={preset} value={String(preset)}>
            {name}
          </option>
        ))}
      </select>
    </>
  );
}

function spoken(compared: Compared | undefined): string {
  const tensors = compared?.reply.tensors ?? [];
  return tensors.map((one) => `${writtenName(one)}: ${lookOf(one.verdict).word}. ${one.message}`).join(" ");
}
