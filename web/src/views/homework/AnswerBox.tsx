// One question: its prompt, the answer as it is typed, how the server reads it, and what it says of it.
import { useSignal } from "@preact/signals";
import { Formula } from "../../components/Formula.tsx";
import { say } from "../../components/Live.tsx";
import { RichText } from "../../components/RichText.tsx";
import type { Question, QuestionReport } from "../../gen/backprop/v1/grading_service_pb.ts";
import { cutAtBytes } from "../../model/span.ts";
import { lookOf } from "../../model/verdict.ts";
import { answers, graded, gradeOne, isGrading, reading, setAnswer } from "../../state/homework.ts";
import { points } from "./QuestionList.tsx";
import { Report } from "./Report.tsx";

interface Props {
  readonly question: Question;
}

/** The question and its answer. */
export function AnswerBox({ question }: Props) {
  const answer = answers.value[question.id] ?? "";
  const last = graded.value[question.id];
  const isFresh = last?.answer === answer;
  const hasFailed = useSignal(false);

  const check = async (event: Event) => {
    event.preventDefault();
    if (!answer.trim() || isGrading.peek()) return;
    const report = await gradeOne(question.id);
    hasFailed.value = !report;
    if (report) say(spoken(report));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void check(event);
  };

  return (
    <section class="answer card" aria-labelledby="question">
      <h2 id="question">
        Question {question.id} <span class="quiet">{points(question.points)} points</span>
      </h2>
      <p class="prompt">
        <RichText text={question.prompt} />
      </p>
      <Terms question={question} />
      <form onSubmit={check}>
        <label for="answer">Your answer, in LaTeX or as code</label>
        <textarea
          id="answer"
          rows={3}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          aria-describedby="reading"
          value={answer}
          onInput={(event) => setAnswer(question.id, event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <Reading question={question.id} answer={answer} />
        <div class="row">
          <button type="submit" class="primary" disabled={!answer.trim()} aria-disabled={isGrading.value}>
            Check
          </button>
          {isGrading.value && <span class="quiet">Checking …</span>}
          <span class="quiet hint-key">Ctrl + Enter</span>
        </div>
      </form>
      {last && (
        <div class={isFresh ? "" : "stale"}>
          {!isFresh && <p class="quiet">This was said of an earlier answer:</p>}
          <Report key={last.answer} graded={last} />
        </div>
      )}
    </section>
  );
}

function Terms({ question }: Props) {
  const { shape, freeIndices, allowedGradients, forbiddenSymbols } = question;
  const terms = [
    shape && `Shape ${shape}`,
    freeIndices.length > 0 && `free: ${freeIndices.join(", ")}`,
    allowedGradients.length > 0 && `you may use the gradient of ${allowedGradients.join(", ")}`,
    forbiddenSymbols.length > 0 && `without ${forbiddenSymbols.join(", ")}`,
  ].filter(Boolean);
  return <p class="quiet terms">{terms.join(" · ")}</p>;
}

/** How the server reads the answer as it stands; what is wrong with its form is underlined. */
function Reading({ question, answer }: { readonly question: string; readonly answer: string }) {
  const read = reading.value;
  const isCurrent = read?.question === question && read.answer === answer;
  return (
    <div id="reading" class={`reading ${isCurrent ? "" : "waiting"}`}>
      {read?.question === question && answer.trim() ? (
        <ReadAs report={read.report} answer={read.answer} />
      ) : (
        <span class="quiet">What the server understands appears here.</span>
      )}
    </div>
  );
}

function ReadAs({ report, answer }: { readonly report: QuestionReport; readonly answer: string }) {
  return (
    <>
      {report.understoodLatex && (
        <>
          <span class="quiet">Understood:</span>
          <Formula latex={report.understoodLatex} plain={report.understoodPlain} display />
        </>
      )}
      <MarkedAnswer report={report} answer={answer} />
      {report.message && <p>{report.message}</p>}
      {report.advice.map((advice) => (
        <p key={advice} class="quiet">
          {advice}
        </p>
      ))}
    </>
  );
}

/** The answer with the part underlined that the message is about. */
export function MarkedAnswer({ report, answer }: { readonly report: QuestionReport; readonly answer: string }) {
  if (report.spanStart === undefined || report.spanEnd === undefined) return null;
  const { before, part, after } = cutAtBytes(answer, report.spanStart, report.spanEnd);
  return (
    <pre class="marked">
      {before}
      <mark>{part || "\u2009"}</mark>
      {after}
    </pre>
  );
}

function spoken(report: QuestionReport): string {
  return `${lookOf(report.verdict).word}, ${points(report.points)} of ${points(report.maxPoints)} points. ${report.message}`;
}
