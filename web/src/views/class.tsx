// What a class gets wrong, live; and one question for the wall.
import "../styles/grading.css";
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { ProblemBox } from "../components/ProblemBox.tsx";
import { RichText } from "../components/RichText.tsx";
import type { AnswerCounts, GetGradingStatisticsResponse, Question } from "../gen/backprop/v1/grading_service_pb.ts";
import { mistakeName } from "../model/verdict.ts";
import { returns } from "../rpc/connection.ts";
import { classStatistics } from "../rpc/grading.ts";
import { inputProblem, isAborted, type Problem, problemOf } from "../rpc/problem.ts";
import { linkTo, param, setParams } from "../state/address.ts";
import { may } from "../state/caller.ts";
import { assignment, assignments, homeworkProblem } from "../state/homework.ts";

const EVERY_MS = 2000;

const wall = param("wall");

/** The view. */
export default function Class() {
  const { statistics, problem } = useStatistics();
  const shown = assignment.value;
  if (!may("GetGradingStatistics")) {
    return (
      <ProblemBox problem={inputProblem("Your role may not see what the class gets wrong.", "Instructors may.")} />
    );
  }
  const asked = shown?.questions.find(({ id }) => id === wall.value);
  if (asked) return <Wall question={asked} statistics={statistics} />;
  return (
    <>
      <h1>Class</h1>
      {(problem ?? homeworkProblem.value) && <ProblemBox problem={problem ?? (homeworkProblem.value as Problem)} />}
      <p class="row">
        <label for="assignment">Assignment</label>
        <select
          id="assignment"
          value={shown?.assignment?.id}
          onChange={(event) => setParams({ hw: event.currentTarget.value })}
        >
          {assignments.value.map((one) => (
            <option key={one.id} value={one.id}>
              {one.title}
            </option>
          ))}
        </select>
        <button type="button" onClick={() => setParams({ wall: shown?.questions[0]?.id }, { remember: true })}>
          One question on the wall
        </button>
      </p>
      {statistics && shown && (
        <>
          <p class="quiet">
            Graded answers since {timeOf(statistics)}; this page asks again every {EVERY_MS / 1000} seconds. No person
            is named.
          </p>
          <div class="class">
            <Mistakes counts={statistics.total} title="Mistakes" />
            <Questions statistics={statistics} questions={shown.questions} />
          </div>
        </>
      )}
    </>
  );
}

function useStatistics() {
  const statistics = useSignal<GetGradingStatisticsResponse | undefined>(undefined);
  const problem = useSignal<Problem | undefined>(undefined);
  const id = useComputed(() => assignment.value?.assignment?.id);
  const isAllowed = useComputed(() => may("GetGradingStatistics"));
  useSignalEffect(() => {
    void returns.value;
    const of = id.value;
    if (!of || !isAllowed.value) return;
    const abort = new AbortController();
    let timer: number | undefined;
    const ask = async () => {
      try {
        if (!document.hidden) statistics.value = await classStatistics(of, abort.signal);
        problem.value = undefined;
      } catch (error) {
        if (abort.signal.aborted || isAborted(error)) return;
        problem.value = problemOf(error);
      }
      if (!abort.signal.aborted) timer = window.setTimeout(ask, EVERY_MS);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  });
  return { statistics: statistics.value, problem: problem.value };
}

function timeOf({ since }: GetGradingStatisticsResponse): string {
  return new Date(Number(since?.seconds ?? 0n) * 1000).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
}

interface MistakesProps {
  readonly counts: AnswerCounts | undefined;
  readonly title: string;
}

/** Bars in a table: the picture is its own table. */
function Mistakes({ counts, title }: MistakesProps) {
  const mistakes = counts?.mistakes ?? [];
  const most = Number(mistakes[0]?.answers ?? 1n);
  return (
    <table class="plain bars">
      <caption>
        <h2>{title}</h2>
      </caption>
      <thead class="visually-hidden">
        <tr>
          <th scope="col">Mistake</th>
          <th scope="col">Answers</th>
        </tr>
      </thead>
      <tbody>
        {mistakes.length === 0 && (
          <tr>
            <td class="quiet" colSpan={2}>
              None so far.
            </td>
          </tr>
        )}
        {mistakes.map(({ mistake, answers }) => (
          <tr key={mistake}>
            <th scope="row">{mistakeName(mistake) ?? "another mistake"}</th>
            <td>
              <span class="bar" style={{ width: `${(100 * Number(answers)) / most}%` }} aria-hidden="true" />
              <span class="count">{String(answers)}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface QuestionsProps {
  readonly statistics: GetGradingStatisticsResponse;
  readonly questions: readonly Question[];
}

const HEADS = [
  ["✓", "right"],
  ["◐", "partly"],
  ["✗", "wrong"],
  ["?", "unread"],
] as const;

function Questions({ statistics, questions }: QuestionsProps) {
  return (
    <div class="matrix-scroll">
      <table class="plain">
        <caption>
          <h2>Questions</h2>
        </caption>
        <thead>
          <tr>
            <th scope="col">Question</th>
            {HEADS.map(([glyph, word]) => (
              <th key={word} scope="col">
                <span aria-hidden="true">{glyph}</span> <span class="word">{word}</span>
              </th>
            ))}
            <th scope="col">Most frequent mistake</th>
          </tr>
        </thead>
        <tbody>
          {questions.map(({ id }) => {
            const counts = statistics.questions.find((one) => one.id === id)?.counts;
            const first = counts?.mistakes[0];
            return (
              <tr key={id}>
                <th scope="row">
                  <a href={linkTo("class", { hw: statistics.assignment, wall: id })} aria-label={`${id}, on the wall`}>
                    {id}
                  </a>
                </th>
                {[counts?.correct, counts?.partial, counts?.incorrect, counts?.invalid].map((count, at) => (
                  <td key={at} class={count ? "" : "quiet"}>
                    {String(count ?? 0n)}
                  </td>
                ))}
                <td>{first && `${mistakeName(first.mistake) ?? "another mistake"} (${first.answers})`}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

interface WallProps {
  readonly question: Question;
  readonly statistics: GetGradingStatisticsResponse | undefined;
}

/** One question, to be read from the last row. */
function Wall({ question, statistics }: WallProps) {
  const questions = assignment.value?.questions ?? [];
  const at = questions.findIndex(({ id }) => id === question.id);
  const [before, after] = [questions[at - 1], questions[at + 1]];
  const counts = statistics?.questions.find(({ id }) => id === question.id)?.counts;
  const go = (id: string | undefined) => setParams({ wall: id });
  return (
    <section class="wall" aria-labelledby="wall">
      <h1 id="wall">Question {question.id}</h1>
      <p class="prompt">
        <RichText text={question.prompt} />
      </p>
      <dl class="tally">
        <Tally glyph="✓" word="right" look="right" count={counts?.correct} />
        <Tally glyph="◐" word="partly" look="partial" count={counts?.partial} />
        <Tally glyph="✗" word="wrong" look="wrong" count={counts?.incorrect} />
      </dl>
      {counts && counts.mistakes.length > 0 && <Mistakes counts={counts} title="Mistakes" />}
      <p class="row wall-buttons">
        <button type="button" disabled={!before} onClick={() => go(before?.id)}>
          Question before
        </button>
        <button type="button" disabled={!after} onClick={() => go(after?.id)}>
          Next question
        </button>
        <button type="button" onClick={() => go(undefined)}>
          The whole class
        </button>
      </p>
    </section>
  );
}

interface TallyProps {
  readonly glyph: string;
  readonly word: string;
  readonly look: string;
  readonly count: bigint | undefined;
}

function Tally({ glyph, word, look, count }: TallyProps) {
  return (
    <div class={look}>
      <dt>
        <span aria-hidden="true">{glyph}</span> {word}
      </dt>
      <dd>{String(count ?? 0n)}</dd>
    </div>
  );
}
