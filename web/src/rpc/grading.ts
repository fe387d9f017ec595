// Assignments, graded answers and what a class gets wrong.
import type { CallOptions } from "@connectrpc/connect";
import {
  type AssignmentSummary,
  type GetAssignmentResponse,
  type GetGradingStatisticsResponse,
  type GradeReport,
  type QuestionReport,
  Reveal,
} from "../gen/backprop/v1/grading_service_pb.ts";
import { problemOf } from "./problem.ts";
import { read } from "./read.ts";
import { gradingService } from "./services.ts";

/** All assignments, in the order of their ids. */
export async function listAssignments(signal?: AbortSignal): Promise<readonly AssignmentSummary[]> {
  const all: AssignmentSummary[] = [];
  for (let pageToken = ""; ; ) {
    const page = await read((options) => gradingService.listAssignments({ pageToken }, options), signal);
    all.push(...page.assignments);
    pageToken = page.nextPageToken;
    if (!pageToken) return all;
  }
}

/** An assignment with its questions. */
export function getAssignment(assignment: string, signal?: AbortSignal): Promise<GetAssignmentResponse> {
  return read((options) => gradingService.getAssignment({ assignment }, options), signal);
}

/** How the server reads an answer; what it thinks of it is not told, and nothing is counted. */
export async function readAnswer(
  assignment: string,
  question: string,
  answer: string,
  signal?: AbortSignal,
): Promise<QuestionReport | undefined> {
  const request = { assignment, answers: { [question]: answer }, preview: true };
  const { report } = await read((options) => gradingService.gradeFormulas(request, options), signal);
  return report?.questions.find(({ id }) => id === question);
}

/** The most that this server reveals, as far as it is known: students may be given less than hints. */
let reveal = Reveal.HINTS;

/** Grades answers; the report has as much as the server reveals. */
export async function gradeAnswers(
  assignment: string,
  answers: Readonly<Record<string, string>>,
  student = "",
): Promise<GradeReport> {
  for (;;) {
    const asked = reveal;
    const call = (options: CallOptions) =>
      gradingService.gradeFormulas({ assignment, answers: { ...answers }, reveal: asked, student }, options);
    try {
      const { report } = await read(call);
      if (report) return report;
      throw new Error("the reply has no report");
    } catch (error) {
      if (problemOf(error).reason !== "REVEAL_LIMIT" || asked <= Reveal.VERDICT) throw error;
      reveal = Math.min(reveal, asked - 1) as Reveal;
    }
  }
}

/** The verdicts and mistakes of each question since the server started. */
export function classStatistics(assignment: string, signal?: AbortSignal): Promise<GetGradingStatisticsResponse> {
  return read((options) => gradingService.getGradingStatistics({ assignment }, options), signal);
}
