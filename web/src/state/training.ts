// The training that the page shows: of its own model, or of one that another client trains. Every number comes by watching
// the model; the curves take a fixed amount of memory.
import { computed, effect, signal, untracked } from "@preact/signals";
import type { Dataset } from "../gen/backprop/v1/dataset_service_pb.ts";
import type { HeldOutMetrics } from "../gen/backprop/v1/run_pb.ts";
import { type EvaluateResponse, StopReason, type WatchModelResponse } from "../gen/backprop/v1/training_service_pb.ts";
import type { Samples } from "../model/csv.ts";
import { Curve } from "../model/curve.ts";
import { spirals } from "../model/spirals.ts";
import { returns } from "../rpc/connection.ts";
import { newId } from "../rpc/id.ts";
import { isAborted, type Problem, problemOf } from "../rpc/problem.ts";
import { trainingService } from "../rpc/services.ts";
import { openStream } from "../rpc/stream.ts";
import {
  createFor,
  datasetNamed,
  evaluateHeldOut,
  inOwnSession,
  type Plan,
  pastRuns,
  startRun,
  stopRun,
} from "../rpc/training.ts";
import { uploadDataset } from "../rpc/upload.ts";
import { param, setParams } from "./address.ts";

/** Where a run is. */
export type Phase = "none" | "starting" | "running" | "ended";

/** What is known of the watched model. */
export interface Progress {
  readonly phase: Phase;
  readonly step: number;
  readonly epoch: number;
  /** The step at which the run ends; 0 if that is not known. */
  readonly lastStep: number;
  readonly loss?: number;
  readonly accuracy?: number;
  readonly learningRate?: number;
  readonly heldOut?: HeldOutMetrics;
  readonly ended?: StopReason;
}

const NOTHING: Progress = { phase: "none", step: 0, epoch: 0, lastStep: 0 };

export const progress = signal<Progress>(NOTHING);
/** Grows when the curves changed. */
export const drawn = signal(0);
/** Loss and accuracy of mini-batches. */
export const batches = new Curve(2);
/** Loss and accuracy on held-out rows. */
export const heldOut = new Curve(2, 512);
/** The last evaluations, for the table beside the curves. */
export const lastHeldOut = signal<readonly HeldOutMetrics[]>([]);
export const evaluation = signal<EvaluateResponse | undefined>(undefined);
export const dataset = signal<Dataset | undefined>(undefined);
export const trainingProblem = signal<Problem | undefined>(undefined);

/** The model that is shown. */
export const watched = param("watch");
const datasetName = param("data");

/** The id of the run that the page began, so that it can be resumed. */
const runId = signal<string | undefined>(sessionStorage.getItem("backpropd.run") ?? undefined);
/** The plan of that run. */
let running: Plan | undefined;

/** Whether a run of this page can continue where it ended. */
export const canResume = computed(() => {
  const { phase, ended } = progress.value;
  const reasons = [
    StopReason.STOPPED,
    StopReason.SHUTDOWN,
    StopReason.RUN_TIME,
    StopReason.CANCELLED,
    StopReason.DEADLINE,
    StopReason.MOVED,
  ];
  return phase === "ended" && runId.value !== undefined && ended !== undefined && reasons.includes(ended);
});

effect(() => {
  const model = watched.value;
  untracked(forgetCurves);
  if (!model) return;
  follow(model);
  return () => closeStream?.();
});

/** The page asks for each step of a run of at most so many steps a second; of a faster one, for so many. */
const MOST_STEPS_PER_SECOND = 10_000;

/** So long a run is looked at before the page asks for fewer of its steps. */
const LOOK_MS = 500;

let closeStream: (() => void) | undefined;

/** Watches the model by every nth step, and again by another n when a run proves faster, and by each when it has ended. */
function follow(model: string, metricsEvery = 1): void {
  let since: { readonly time: number; readonly step: number } | undefined;
  closeStream = openStream(
    (signal) => {
      since = undefined;
      void fillIn(model, signal);
      return trainingService.watchModel({ model, metricsEvery }, { signal });
    },
    {
      message: (message) => {
        hear(message);
        const { event } = message;
        if (event.case === "completed" && metricsEvery > 1) follow(model);
        if (event.case !== "progress" || metricsEvery > 1) return;
        const now = { time: performance.now(), step: Number(event.value.steps.at(-1)?.step ?? 0) };
        since ??= now;
        if (now.time - since.time < LOOK_MS) return;
        const perSecond = (1000 * (now.step - since.step)) / (now.time - since.time);
        since = now;
        // To tell each of them costs the server more than a twentieth of a small network's training.
        if (perSecond > MOST_STEPS_PER_SECOND) follow(model, Math.ceil(perSecond / MOST_STEPS_PER_SECOND));
      },
      end: (problem) => {
        trainingProblem.value = problem;
        if (progress.peek().phase === "running") progress.value = { ...progress.peek(), phase: "ended" };
      },
    },
  );
}

effect(() => {
  void returns.value;
  const name = datasetName.value;
  if (!name) return;
  if (dataset.peek()?.name === name) return;
  const abort = new AbortController();
  datasetNamed(name, abort.signal).then(
    (found) => {
      if (!abort.signal.aborted) dataset.value = found;
    },
    (error: unknown) => {
      if (!abort.signal.aborted && !isAborted(error)) trainingProblem.value = problemOf(error);
    },
  );
  return () => abort.abort();
});

function forgetCurves(): void {
  batches.clear();
  heldOut.clear();
  lastHeldOut.value = [];
  evaluations = [];
  evaluation.value = undefined;
  progress.value = NOTHING;
  trainingProblem.value = undefined;
  drawn.value += 1;
}

/** Draws what happened before the watch began, or while the tab was hidden. */
async function fillIn(model: string, signal: AbortSignal): Promise<void> {
  try {
    const runs = await pastRuns(model, signal);
    if (signal.aborted) return;
    const [steps, past] = [runs.flatMap((run) => run.metrics), runs.flatMap((run) => run.heldOut)];
    // What came live meanwhile is newer: the past is put before it.
    if (steps.some(({ step }) => Number(step) <= batches.lastStep)) {
      batches.clear();
      heldOut.clear();
    }
    for (const one of steps) batches.push(Number(one.step), [one.loss, one.accuracy ?? Number.NaN]);
    for (const one of past) noteHeldOut(one);
    showEvaluations();
    drawn.value += 1;
  } catch {
    // The curves then begin with the watch; a model without access has told its problem there.
  }
}

/** What came since the last frame; shown once a frame, however many steps and epochs a frame has. */
let newest: Progress | undefined;
let evaluations: HeldOutMetrics[] = [];
let isFrameDue = false;

function showSoon(next: Progress): void {
  newest = next;
  if (isFrameDue) return;
  isFrameDue = true;
  requestAnimationFrame(() => {
    isFrameDue = false;
    if (newest) progress.value = newest;
    newest = undefined;
    showEvaluations();
    drawn.value += 1;
  });
}

function hear({ event }: WatchModelResponse): void {
  const now = newest ?? progress.peek();
  switch (event.case) {
    case "model": {
      const { step, run } = event.value;
      const lastStep = run ? Number(run.firstStep + run.plannedSteps) : 0;
      const phase = run ? "running" : now.phase === "running" ? "ended" : now.phase;
      // The run ended while the page did not watch.
      if (phase !== now.phase && phase === "ended") void evaluate();
      showSoon({ ...now, step: Number(step), phase, lastStep });
      return;
    }
    case "started": {
      const { step, plannedSteps } = event.value;
      trainingProblem.value = undefined;
      const { ended: _, ...rest } = now;
      showSoon({ ...rest, phase: "running", step: Number(step), lastStep: Number(step + plannedSteps) });
      return;
    }
    case "progress": {
      const { steps } = event.value;
      for (const one of steps) batches.push(Number(one.step), [one.loss, one.accuracy ?? Number.NaN]);
      const last = steps.at(-1);
      if (!last) return;
      const { step, epoch, loss, accuracy, learningRate } = last;
      showSoon({ ...now, step: Number(step), epoch, loss, learningRate, ...(accuracy !== undefined && { accuracy }) });
      return;
    }
    case "heldOut":
      noteHeldOut(event.value);
      showSoon({ ...now, heldOut: event.value });
      return;
    case "completed": {
      const { stopReason, step } = event.value;
      showSoon({ ...now, phase: "ended", step: Number(step), ended: stopReason });
      void evaluate();
      return;
    }
  }
}

/** Rows of the table beside the curves. */
const MOST_ROWS = 10;

function noteHeldOut(one: HeldOutMetrics): void {
  if (Number(one.step) <= heldOut.lastStep) return;
  heldOut.push(Number(one.step), [one.loss, one.accuracy ?? one.determination ?? Number.NaN]);
  evaluations.push(one);
  if (evaluations.length > MOST_ROWS) evaluations.shift();
}

function showEvaluations(): void {
  if (evaluations.length > 0) lastHeldOut.value = [...lastHeldOut.peek(), ...evaluations].slice(-MOST_ROWS);
  evaluations = [];
}

/** The data that the reader picked. */
export type Choice = { readonly name: string } | { readonly samples: Samples };

/** The built-in spirals, as a choice. */
export function spiralsChoice(): Choice {
  return { samples: spirals() };
}

/** Makes a new network for the data and trains it. */
export async function train(choice: Choice, plan: Plan): Promise<void> {
  trainingProblem.value = undefined;
  progress.value = { ...NOTHING, phase: "starting" };
  try {
    const { model, found } = await inOwnSession(async (session) => {
      const found = "name" in choice ? await datasetNamed(choice.name) : await uploadDataset(session, choice.samples);
      if (!found) throw new Error("the server described no dataset");
      return { model: await createFor(found, plan, session), found };
    });
    dataset.value = found;
    setParams({ watch: model, data: found.name });
    progress.value = { ...NOTHING, phase: "starting" };
    await begin(model, found.name, plan, newId());
  } catch (error) {
    fail(error);
  }
}

async function begin(model: string, data: string, plan: Plan, id: string): Promise<void> {
  running = plan;
  runId.value = id;
  sessionStorage.setItem("backpropd.run", id);
  sessionStorage.setItem("backpropd.plan", JSON.stringify({ ...plan, seed: String(plan.seed) }));
  await startRun(model, data, plan, id);
}

/** Stops the run in progress, whoever began it. */
export async function stop(): Promise<void> {
  const model = watched.peek();
  if (!model) return;
  try {
    await stopRun(model);
  } catch (error) {
    if (!isAborted(error)) trainingProblem.value = problemOf(error);
  }
}

/** Continues the run of this page where it ended. */
export async function resume(): Promise<void> {
  const [model, data, id, plan] = [watched.peek(), datasetName.peek(), runId.peek(), running ?? storedPlan()];
  if (!model || !data || !id || !plan) return;
  trainingProblem.value = undefined;
  progress.value = { ...progress.peek(), phase: "starting" };
  try {
    await begin(model, data, plan, id);
  } catch (error) {
    fail(error);
  }
}

function storedPlan(): Plan | undefined {
  try {
    const plan = JSON.parse(sessionStorage.getItem("backpropd.plan") ?? "");
    return { ...plan, seed: BigInt(plan.seed) };
  } catch {
    return undefined;
  }
}

function fail(error: unknown): void {
  if (isAborted(error)) return;
  trainingProblem.value = problemOf(error);
  progress.value = { ...progress.peek(), phase: "ended" };
}

/** Asks for the loss, the accuracy and the confusion matrix on the held-out rows. */
export async function evaluate(): Promise<void> {
  const [model, data] = [watched.peek(), dataset.peek()];
  if (!model || !data) return;
  try {
    evaluation.value = await evaluateHeldOut(model, data);
  } catch (error) {
    if (!isAborted(error)) trainingProblem.value = problemOf(error);
  }
}
