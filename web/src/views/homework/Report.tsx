// What the server says of a graded answer: verdict, mistake, entries, and hints one at a time.
import { useSignal } from "@preact/signals";
import { EntryGrid } from "../../components/EntryGrid.tsx";
import { Formula } from "../../components/Formula.tsx";
import { say } from "../../components/Live.tsx";
import { RichText } from "../../components/RichText.tsx";
import { Verdict } from "../../components/Verdict.tsx";
import { Verdict as Given } from "../../gen/backprop/v1/grading_service_pb.ts";
import { lookOf, mistakeCode, mistakeName } from "../../model/verdict.ts";
import type { Graded } from "../../state/homework.ts";
import { MarkedAnswer } from "./AnswerBox.tsx";
import { points } from "./QuestionList.tsx";

interface Props {
  readonly graded: Graded;
}

/** The report. */
export function Report({ graded: { report, answer } }: Props) {
  const name = mistakeName(report.mistake);
  return (
    <div class={`report ${lookOf(report.verdict).look}`}>
      <p class="row">
        <strong>
          <Verdict verdict={report.verdict} />
        </strong>
        <span>
          {points(report.points)} of {points(report.maxPoints)} points
        </span>
        {name && (
          <span class="mistake" data-mistake={mistakeCode(report.mistake)}>
            {name}
          </span>
        )}
      </p>
      {report.verdict !== Given.CORRECT && <MarkedAnswer report={report} answer={answer} />}
      {report.verdict !== Given.CORRECT && (
        <p>
          <RichText text={report.message} />
        </p>
      )}
      {report.firstWrongStep > 0 && <p>The first wrong step is number {report.firstWrongStep}.</p>}
      {report.ruling && <p class="quiet">A person decided: {report.ruling.reason}</p>}
      {report.grid && report.verdict !== Given.CORRECT && <EntryGrid grid={report.grid} />}
      {report.reference && (
        <p>
          Right is <Formula latex={report.reference} plain={report.reference} />
        </p>
      )}
      <Hints hints={report.hints} />
    </div>
  );
}

function Hints({ hints }: { readonly hints: readonly string[] }) {
  const shown = useSignal(0);
  if (hints.length === 0) return null;
  const next = () => {
    say(`Hint: ${hints[shown.value] ?? ""}`);
    shown.value += 1;
  };
  return (
    <div class="hints">
      {shown.value > 0 && (
        <ol>
          {hints.slice(0, shown.value).map((hint) => (
            <li key={hint}>
              <RichText text={hint} />
            </li>
          ))}
        </ol>
      )}
      {shown.value < hints.length && (
        <button type="button" onClick={next}>
          {shown.value === 0 ? "A hint" : "Another hint"} ({shown.value + 1} of {hints.length})
        </button>
      )}
    </div>
  );
}
