// What to train on, and how.
import { useSignal } from "@preact/signals";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { readSheet, type Samples, type Sheet, samplesOf, UnreadableFile } from "../../model/csv.ts";
import { inputProblem } from "../../rpc/problem.ts";
import type { Plan } from "../../rpc/training.ts";
import { param, setParams } from "../../state/address.ts";
import { progress, spiralsChoice, train } from "../../state/training.ts";

const sourceParam = param("from");
const hiddenParam = param("hidden");
const unitParam = param("unit");
const optimizerParam = param("opt");
const learningRateParam = param("lr");
const epochsParam = param("epochs");
const minibatchParam = param("minibatch");

const LARGEST_FILE = 20 << 20;

/** What the file that was picked says. */
type Picked =
  | { readonly sheet: Sheet; readonly target: number; readonly samples: Samples }
  | { readonly error: string };

/** The form. */
export function PlanForm() {
  const picked = useSignal<Picked | undefined>(undefined);
  const source = sourceParam.value ?? "digits";
  const isBusy = progress.value.phase === "starting" || progress.value.phase === "running";
  const choice =
    source === "digits"
      ? { name: "datasets/digits" }
      : source === "spirals"
        ? spiralsChoice()
        : picked.value && "samples" in picked.value
          ? { samples: picked.value.samples }
          : undefined;
  const start = (event: Event) => {
    event.preventDefault();
    if (!choice || isBusy) return;
    void train(choice, planOf());
    // Where the form is above the curves, they come into sight.
    document.querySelector(".training-shown")?.scrollIntoView({ block: "nearest" });
  };
  return (
    <form class="card plan" onSubmit={start}>
      <fieldset>
        <legend>Data</legend>
        {SOURCES.map(([name, title]) => (
          <label key={name} class="choice">
            <input type="radio" name="from" checked={source === name} onChange={() => setParams({ from: name })} />{" "}
            {title}
          </label>
        ))}
        {source === "file" && <FileChoice picked={picked.value} onPick={(next) => (picked.value = next)} />}
      </fieldset>
      <fieldset>
        <legend>Network</legend>
        <Field name="hidden" label="Hidden units" value={hiddenText()} hint="such as 32 or 64, 32; empty for none" />
        <p class="field">
          <label for="unit">Activation</label>
          <select
            id="unit"
            value={unitParam.value ?? "relu"}
            onChange={(e) => setParams({ unit: e.currentTarget.value })}
          >
            <option value="relu">ReLU</option>
            <option value="tanh">tanh</option>
            <option value="sigmoid">sigmoid</option>
          </select>
        </p>
      </fieldset>
      <fieldset>
        <legend>Steps</legend>
        <p class="field">
          <label for="opt">Optimizer</label>
          <select
            id="opt"
            value={optimizerParam.value ?? "sgd"}
            onChange={(e) => setParams({ opt: e.currentTarget.value })}
          >
            <option value="sgd">SGD</option>
            <option value="adam">Adam</option>
          </select>
        </p>
        <Field name="lr" label="Learning rate" value={learningRateParam.value ?? "0.1"} isNumber />
        <Field name="epochs" label="Epochs" value={epochsParam.value ?? "20"} isNumber />
        <Field name="minibatch" label="Samples per step" value={minibatchParam.value ?? "32"} isNumber />
      </fieldset>
      <button type="submit" class="primary" disabled={!choice || isBusy}>
        Train
      </button>
    </form>
  );
}

const SOURCES = [
  ["digits", "Handwritten digits, 8 × 8"],
  ["spirals", "Two spirals"],
  ["file", "My own CSV"],
] as const;

function hiddenText(): string {
  return hiddenParam.value ?? "32";
}

/** What the fields say; the server tells what it does not take. */
function planOf(): Plan {
  const units = hiddenText()
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(Number);
  const unit = unitParam.value;
  return {
    hidden: units.map((count) => (Number.isFinite(count) ? Math.round(count) : 0)),
    activation: unit === "tanh" || unit === "sigmoid" ? unit : "relu",
    optimizer: optimizerParam.value === "adam" ? "adam" : "sgd",
    learningRate: Number(learningRateParam.value ?? "0.1"),
    epochs: Math.round(Number(epochsParam.value ?? "20")) || 1,
    minibatch: Math.round(Number(minibatchParam.value ?? "32")) || 0,
    seed: 1n,
  };
}

interface FieldProps {
  readonly name: string;
  readonly label: string;
  readonly value: string;
  readonly hint?: string;
  readonly isNumber?: boolean;
}

function Field({ name, label, value, hint, isNumber = false }: FieldProps) {
  return (
    <p class="field">
      <label for={name}>{label}</label>
      <input
        id={name}
        inputMode={isNumber ? "decimal" : "text"}
        pattern={isNumber ? "[0-9.eE+\\-]+" : "[0-9, ]*"}
        autocomplete="off"
        aria-describedby={hint && `${name}-hint`}
        value={value}
        onChange={(event) => setParams({ [name]: event.currentTarget.value.trim() })}
      />
      {hint && (
        <span id={`${name}-hint`} class="quiet">
          {hint}
        </span>
      )}
    </p>
  );
}

interface FileProps {
  readonly picked: Picked | undefined;
  readonly onPick: (picked: Picked | undefined) => void;
}

function FileChoice({ picked, onPick }: FileProps) {
  const open = async (file: File | undefined) => {
    if (!file) return onPick(undefined);
    if (file.size > LARGEST_FILE)
      return onPick({ error: "The file is larger than 20 MB: upload it with backpropd upload." });
    onPick(attempt(readSheetOf(await file.text())));
  };
  return (
    <>
      <p class="field">
        <label for="file">File, a sample in each line</label>
        <input
          id="file"
          type="file"
          accept=".csv,.tsv,.txt,text/csv"
          onChange={(e) => open(e.currentTarget.files?.[0])}
        />
      </p>
      {picked && "error" in picked && <ProblemBox problem={inputProblem("This file cannot be used.", picked.error)} />}
      {picked && "samples" in picked && (
        <>
          <p class="field">
            <label for="target">Predict</label>
            <select
              id="target"
              value={String(picked.target)}
              onChange={(event) => onPick(attempt(() => withTarget(picked.sheet, Number(event.currentTarget.value))))}
            >
              {picked.sheet.columns.map((name, at) => (
                <option key={`${at} ${name}`} value={String(at)}>
                  {name}
                </option>
              ))}
            </select>
          </p>
          <p class="quiet">{describe(picked.samples)}</p>
        </>
      )}
    </>
  );
}

function readSheetOf(text: string): () => Picked {
  return () => {
    const sheet = readSheet(text);
    return withTarget(sheet, sheet.columns.length - 1);
  };
}

function withTarget(sheet: Sheet, target: number): Picked {
  return { sheet, target, samples: samplesOf(sheet, target) };
}

function attempt(work: () => Picked): Picked {
  try {
    return work();
  } catch (error) {
    if (error instanceof UnreadableFile) return { error: error.message };
    throw error;
  }
}

function describe({ rows, features, leftOut, target }: Samples): string {
  const what = target.kind === "classes" ? `${target.names.length} classes` : "a number to predict";
  const without = leftOut.length > 0 ? ` Columns of text are left out: ${leftOut.join(", ")}.` : "";
  return `${rows} rows, ${features.length} features, ${what}.${without}`;
}
