// The whole homework: graded at once, with the score, and files to keep: the answers, and the report with its receipt.
import { useSignal } from "@preact/signals";
import { say } from "../../components/Live.tsx";
import type { GradeReport, QuestionReport } from "../../gen/backprop/v1/grading_service_pb.ts";
import { Verdict } from "../../gen/backprop/v1/grading_service_pb.ts";
import { mistakeCode } from "../../model/verdict.ts";
import { caller } from "../../state/caller.ts";
import { saveFile } from "../../state/file.ts";
import { answers, assignment, givenAnswers, gradeAll, isGrading, wholeReport } from "../../state/homework.ts";
import { points } from "./QuestionList.tsx";

/** The box. */
export function HandIn() {
  const who = caller.value;
  const name = useSignal("");
  const student = who.kind === "person" && who.role === "student" ? who.subject : name.value.trim();
  const report = wholeReport.value;
  const count = Object.values(answers.value).filter((answer) => answer.trim()).length;
  const total = assignment.value?.questions.length ?? 0;
  const grade = async (event: Event) => {
    event.preventDefault();
    const graded = await gradeAll(student);
    if (graded) say(`Score ${points(graded.score)} of ${points(graded.maxScore)}`);
  };
  return (
    <section class="hand-in card" aria-labelledby="hand-in">
      <h2 id="hand-in">The whole homework</h2>
      <p>
        {count} of {total} questions have an answer.
      </p>
      <form onSubmit={grade}>
        {who.kind === "person" && who.role === "student" ? (
          <p class="quiet">The receipt is for {who.subject}.</p>
        ) : (
          <p class="row">
            <label for="student">Name, for the receipt</label>
            <input
              id="student"
              maxLength={100}
              autocomplete="name"
              value={name.value}
              onInput={(event) => {
                name.value = event.currentTarget.value;
              }}
            />
          </p>
        )}
        <button type="submit" class="primary" disabled={count === 0 || isGrading.value}>
          Grade all answers
        </button>
      </form>
      {report && (
        <p class="score">
          Score <strong>{points(report.score)}</strong> of {points(report.maxScore)}
        </p>
      )}
      <div class="row">
        <button type="button" disabled={count === 0} onClick={saveAnswers}>
          Save answers
        </button>
        {report?.receipt && (
          <button type="button" onClick={() => saveReport(report)}>
            Save report with receipt
          </button>
        )}
      </div>
    </section>
  );
}

/** The file that `backpropd grade` reads. */
function saveAnswers(): void {
  const id = assignment.peek()?.assignment?.id ?? "";
  saveFile(`${id}-answers.json`, JSON.stringify({ assignment: id, answers: givenAnswers() }, null, 2));
}

/** The file that `backpropd verify` reads. */
function saveReport(report: GradeReport): void {
  saveFile(`${report.assignment}-report.json`, JSON.stringify(reportFile(report), null, 2));
}

function reportFile(report: GradeReport) {
  return {
    assignment: report.assignment,
    assignment_digest: report.assignmentDigest,
    graded_at: Number(report.gradeTime?.seconds ?? 0n),
    score: report.score,
    max_score: report.maxScore,
    receipt: report.receipt,
    ...(report.student && { student: report.student }),
    ...(report.unknownAnswers.length > 0 && { unknown_answers: report.unknownAnswers }),
    questions: report.questions.map(questionFile),
  };
}

function questionFile(report: QuestionReport) {
  const { understoodLatex, understoodPlain, spanStart, spanEnd, ruling } = report;
  return {
    id: report.id,
    verdict: Verdict[report.verdict],
    points: report.points,
    max_points: report.maxPoints,
    message: report.message,
    note: report.note,
    tags: report.tags,
    ...(mistakeCode(report.mistake) && { mistake: mistakeCode(report.mistake) }),
    ...(understoodLatex && { understood: { latex: understoodLatex, plain: understoodPlain } }),
    ...(spanStart !== undefined && { span: { start: spanStart, end: spanEnd } }),
    ...(report.firstWrongStep > 0 && { first_wrong_step: report.firstWrongStep }),
    ...(report.grid && {
      grid: { rows: report.grid.rows, columns: report.grid.columns, right: report.grid.right },
    }),
    ...(report.advice.length > 0 && { advice: report.advice }),
    ...(report.hints.length > 0 && { hints: report.hints }),
    ...(report.reference && { reference: report.reference }),
    ...(ruling && { ruling: { instead_of: Verdict[ruling.insteadOf], reason: ruling.reason } }),
  };
}
