// The questions of the homework by parts, with points and verdicts.
import { Verdict } from "../../components/Verdict.tsx";
import type { Question } from "../../gen/backprop/v1/grading_service_pb.ts";
import { minus } from "../../model/number.ts";
import { linkTo } from "../../state/address.ts";
import { answers, assignment, graded, question } from "../../state/homework.ts";

/** The list. */
export function QuestionList() {
  const shown = assignment.value;
  if (!shown) return null;
  const parts = [...new Set(shown.questions.map((one) => one.part))];
  return (
    <nav class="questions" aria-label="Questions">
      {parts.map((part) => (
        <section key={part} aria-label={part || "Questions"}>
          {part && <h2>{part}</h2>}
          <ol>
            {shown.questions
              .filter((one) => one.part === part)
              .map((one) => (
                <Entry key={one.id} question={one} />
              ))}
          </ol>
        </section>
      ))}
    </nav>
  );
}

function Entry({ question: one }: { readonly question: Question }) {
  const found = graded.value[one.id];
  const isCurrent = question.value?.id === one.id;
  const hw = assignment.value?.assignment?.id;
  const hasAnswer = (answers.value[one.id] ?? "").trim() !== "";
  const isStale = found !== undefined && found.answer !== (answers.value[one.id] ?? "");
  return (
    <li>
      <a
        href={linkTo("homework", { hw, q: one.id })}
        aria-current={isCurrent ? "true" : undefined}
        class={isStale ? "stale" : undefined}
      >
        <Verdict verdict={found?.report.verdict} isShort />
        <span class="id">{one.id}</span>
        <span class="points">
          {found ? `${points(found.report.points)} / ${points(one.points)}` : points(one.points)}
          <span class="visually-hidden"> points</span>
        </span>
        {isStale && <span class="visually-hidden">, changed since</span>}
        {!found && hasAnswer && <span class="visually-hidden">, answered</span>}
      </a>
    </li>
  );
}

/** Points without digits that are zero. */
export function points(value: number): string {
  return minus(String(Math.round(value * 100) / 100));
}
