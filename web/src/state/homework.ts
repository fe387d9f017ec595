// The homework: which assignment and question the address names, the reader's answers, and what the server says of them.
// Answers stay in this tab; they are sent when they are read or graded.
import { computed, effect, signal } from "@preact/signals";
import type {
  AssignmentSummary,
  GetAssignmentResponse,
  GradeReport,
  Question,
  QuestionReport,
} from "../gen/backprop/v1/grading_service_pb.ts";
import { returns } from "../rpc/connection.ts";
import { getAssignment, gradeAnswers, listAssignments, readAnswer } from "../rpc/grading.ts";
import { isAborted, type Problem, problemOf } from "../rpc/problem.ts";
import { token } from "../rpc/token.ts";
import { param } from "./address.ts";

/** A graded answer: the report is about this text, and not about a later one. */
export interface Graded {
  readonly answer: string;
  readonly report: QuestionReport;
}

/** How the server reads the answer as it stands. */
export interface Reading {
  readonly question: string;
  readonly answer: string;
  readonly report: QuestionReport;
}

export const assignments = signal<readonly AssignmentSummary[]>([]);
export const assignment = signal<GetAssignmentResponse | undefined>(undefined);
export const answers = signal<Readonly<Record<string, string>>>({});
export const graded = signal<Readonly<Record<string, Graded>>>({});
/** The last report on the whole homework. */
export const wholeReport = signal<GradeReport | undefined>(undefined);
export const reading = signal<Reading | undefined>(undefined);
export const isGrading = signal(false);
export const homeworkProblem = signal<Problem | undefined>(undefined);

const chosenAssignment = param("hw");
const chosenQuestion = param("q");
const id = computed(() => chosenAssignment.value ?? preferred(assignments.value));

/** The homework that the course is about, else the first. */
function preferred(all: readonly AssignmentSummary[]): string | undefined {
  return (all.find((one) => one.id === "hw-backprop") ?? all[0])?.id;
}

/** The question that is shown. */
export const question = computed<Question | undefined>(() => {
  const questions = assignment.value?.questions;
  return questions?.find((one) => one.id === chosenQuestion.value) ?? questions?.[0];
});

effect(() => {
  void returns.value;
  void token.value;
  const abort = new AbortController();
  listAssignments(abort.signal).then((all) => {
    assignments.value = all;
    homeworkProblem.value = undefined;
  }, tell(abort.signal));
  return () => abort.abort();
});

effect(() => {
  void returns.value;
  void token.value;
  const wanted = id.value;
  if (!wanted) return;
  const abort = new AbortController();
  getAssignment(wanted, abort.signal).then((found) => {
    if (abort.signal.aborted) return;
    homeworkProblem.value = undefined;
    if (assignment.peek()?.assignment?.id === wanted) return;
    assignment.value = found;
    answers.value = storedAnswers(wanted);
    graded.value = {};
    wholeReport.value = undefined;
  }, tell(abort.signal));
  return () => abort.abort();
});

/** How long the page waits for the next letter before it asks how the answer is read. */
const PAUSE_MS = 250;

effect(() => {
  void returns.value;
  const [of, asked] = [assignment.value?.assignment?.id, question.value?.id];
  const answer = asked === undefined ? "" : (answers.value[asked] ?? "");
  if (of === undefined || asked === undefined || !answer.trim()) {
    reading.value = undefined;
    return;
  }
  const known = reading.peek();
  if (known?.question === asked && known.answer === answer) return;
  const abort = new AbortController();
  const timer = setTimeout(() => {
    readAnswer(of, asked, answer, abort.signal).then((report) => {
      if (report && !abort.signal.aborted) reading.value = { question: asked, answer, report };
    }, tell(abort.signal));
  }, PAUSE_MS);
  return () => {
    clearTimeout(timer);
    abort.abort();
  };
});

function tell(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted && !isAborted(error)) homeworkProblem.value = problemOf(error);
  };
}

/** Changes an answer. */
export function setAnswer(asked: string, answer: string): void {
  answers.value = { ...answers.peek(), [asked]: answer };
  const of = assignment.peek()?.assignment?.id;
  if (of) sessionStorage.setItem(storageKey(of), JSON.stringify(answers.peek()));
}

/** Grades the answer to one question; returns the report unless the call failed. */
export async function gradeOne(asked: string): Promise<QuestionReport | undefined> {
  const answer = answers.peek()[asked] ?? "";
  const report = await gradeThese({ [asked]: answer });
  return report?.questions.find((one) => one.id === asked);
}

/** Grades every answer that there is, as the hand-in of `student`. */
export async function gradeAll(student: string): Promise<GradeReport | undefined> {
  const report = await gradeThese(givenAnswers(), student);
  if (report) wholeReport.value = report;
  return report;
}

/** The answers that are not empty. */
export function givenAnswers(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(answers.peek()).filter(([, answer]) => answer.trim()));
}

async function gradeThese(given: Readonly<Record<string, string>>, student = ""): Promise<GradeReport | undefined> {
  const of = assignment.peek()?.assignment?.id;
  if (of === undefined) return undefined;
  isGrading.value = true;
  try {
    const report = await gradeAnswers(of, given, student);
    const of_each = report.questions.filter((one) => one.id in given);
    const entries = of_each.map((one) => [one.id, { answer: given[one.id] ?? "", report: one }]);
    graded.value = { ...graded.peek(), ...Object.fromEntries(entries) };
    homeworkProblem.value = undefined;
    return report;
  } catch (error) {
    if (!isAborted(error)) homeworkProblem.value = problemOf(error);
    return undefined;
  } finally {
    isGrading.value = false;
  }
}

function storageKey(of: string): string {
  return `backpropd.answers.${of}`;
}

function storedAnswers(of: string): Readonly<Record<string, string>> {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(storageKey(of)) ?? "{}");
    const entries = Object.entries(stored ?? {}).filter(([, answer]) => typeof answer === "string");
    return Object.fromEntries(entries);
  } catch {
    return {};
  }
}
