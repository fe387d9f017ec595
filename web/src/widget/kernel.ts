// What the kernel and the picture in a notebook say to each other.
import type { Numbers } from "../model/entry.ts";
import { type Entry, readEntry, writeEntry, writePlace } from "../model/entry.ts";
import type { Equation, Expansion, Explanation, Factor } from "../model/explanation.ts";
import type { Matrix } from "../model/matrix.ts";
import type { Layer, LayerParameters, Loss } from "../model/network.ts";

/** The numbers of the picture, as `backpropd/widget.py` sends them. */
interface KernelNumbers {
  readonly inputs: number;
  readonly layers: readonly Layer[];
  readonly loss: Loss;
  readonly reduction: "mean" | "sum";
  readonly reluAtZero: 0 | 1;
  readonly parameters: readonly LayerParameters[];
  readonly x: Matrix;
  readonly y: Matrix;
  readonly value: number;
  readonly step: number;
  readonly matrices: Readonly<Record<string, Matrix>>;
}

/** Numbers that were changed in the picture, by their entries: "W2.1.3". */
export type KernelChanges = Readonly<Record<string, number>>;

/** The kernel's side of a widget: what anywidget hands to `render`. */
export interface KernelModel {
  get(name: "numbers"): KernelNumbers;
  get(name: "changes"): KernelChanges;
  get(name: "problem"): string;
  set(name: "changes", changes: KernelChanges): void;
  save_changes(): void;
  on(event: string, callback: (message: KernelAnswer) => void): void;
  off(event: string, callback: (message: KernelAnswer) => void): void;
  send(message: unknown): void;
}

/** An explanation, whose factors name their entries as text: "W3.1.2". */
interface KernelExplanation {
  readonly equations: readonly KernelEquation[];
  readonly unexplained: number;
}

type KernelEquation = Omit<Equation, "terms"> & { readonly terms: readonly KernelTerm[] };

interface KernelTerm {
  readonly value: number;
  readonly factors: readonly (Omit<Factor, "entry"> & { readonly entry: string })[];
}

/** Losses with other values of a number. */
interface KernelLosses {
  readonly losses: readonly number[];
}

type KernelAnswer = { readonly id: number } & (KernelExplanation | KernelLosses | { readonly error: string });

/** What the picture shows, and the step that it belongs to. */
export interface KernelState {
  readonly numbers: Numbers;
  readonly step: number;
  readonly changes: KernelChanges;
  readonly problem: string;
}

/** The kernel's numbers as the components read them. */
export function stateOf(model: KernelModel): KernelState {
  const sent = model.get("numbers");
  const { inputs, layers, loss, reduction, reluAtZero, parameters, x, y, matrices } = sent;
  const spec = { inputs, layers, loss, reduction, reluAtZero, compute: "float64", learningRate: 0 } as const;
  return {
    step: sent.step,
    changes: model.get("changes"),
    problem: model.get("problem"),
    numbers: {
      network: { spec, parameters },
      batch: { x, answers: { targets: y } },
      pass: {
        loss: sent.value,
        samples: x.rows,
        get: (quantity, layer) => matrices[writePlace({ quantity, layer })],
      },
    },
  };
}

/** Calls `read` when the kernel has other numbers; returns what ends that. */
export function follow(model: KernelModel, read: () => void): () => void {
  const events = ["change:numbers", "change:changes", "change:problem"];
  for (const event of events) model.on(event, read);
  return () => {
    for (const event of events) model.off(event, read);
  };
}

/** Gives the kernel other changes: it computes the pass of a copy of the network with them. */
export function change(model: KernelModel, changes: KernelChanges): void {
  model.set("changes", changes);
  model.save_changes();
}

let questions = 0;

/** Asks the kernel why an entry has its value. */
export async function ask(model: KernelModel, entry: Entry, expansion: Expansion): Promise<Explanation> {
  const place = { entry: writePlace(entry), row: entry.row + 1, column: entry.column + 1 };
  return explanationFrom((await answerTo(model, { ...place, expansion })) as KernelExplanation);
}

/** Asks the kernel for the losses that other values of a number would have. */
export async function lossesAt(
  model: KernelModel,
  entry: Entry,
  values: readonly number[],
): Promise<readonly number[]> {
  return ((await answerTo(model, { place: writeEntry(entry), values })) as KernelLosses).losses;
}

function answerTo(model: KernelModel, question: object): Promise<KernelAnswer> {
  questions += 1;
  const id = questions;
  return new Promise((resolve, reject) => {
    const listen = (answer: KernelAnswer) => {
      if (answer.id !== id) return;
      model.off("msg:custom", listen);
      if ("error" in answer) reject(new Error(answer.error));
      else resolve(answer);
    };
    model.on("msg:custom", listen);
    model.send({ id, ...question });
  });
}

function explanationFrom({ equations, unexplained }: KernelExplanation): Explanation {
  return {
    unexplained,
    equations: equations.map((equation) => ({
      ...equation,
      terms: equation.terms.map((term) => ({
        ...term,
        factors: term.factors.map(({ entry, ...factor }) => {
          const of = readEntry(entry);
          return { ...factor, ...(of && { entry: of }) };
        }),
      })),
    })),
  };
}
