// The homework: its questions with their points, and a box for the answer to one of them.
import "../styles/grading.css";
import { ProblemBox } from "../components/ProblemBox.tsx";
import { goTo } from "../state/address.ts";
import { may } from "../state/caller.ts";
import { assignment, assignments, homeworkProblem, question } from "../state/homework.ts";
import { AnswerBox } from "./homework/AnswerBox.tsx";
import { HandIn } from "./homework/HandIn.tsx";
import { QuestionList } from "./homework/QuestionList.tsx";

/** The view. */
export default function Homework() {
  const shown = assignment.value;
  const problem = homeworkProblem.value;
  const asked = question.value;
  return (
    <>
      <h1>{shown?.assignment?.title ?? "Homework"}</h1>
      {problem && <ProblemBox problem={problem} />}
      {assignments.value.length > 1 && <AssignmentChoice />}
      {shown?.description && <p class="quiet">{shown.description}</p>}
      {shown && (
        <div class="homework">
          <div class="homework-answer">{asked && <AnswerBox key={asked.id} question={asked} />}</div>
          <div class="homework-list">
            <QuestionList />
            <HandIn />
            {may("GetGradingStatistics") && (
              <p>
                <a href={`#/class?hw=${encodeURIComponent(shown.assignment?.id ?? "")}`}>What the class gets wrong</a>
              </p>
            )}
          </div>
        </div>
      )}
    </>
  );
}

function AssignmentChoice() {
  const id = assignment.value?.assignment?.id ?? "";
  return (
    <p class="row">
      <label for="assignment">Assignment</label>
      <select
        id="assignment"
        value={id}
        onChange={(event) => goTo("homework", { hw: event.currentTarget.value, q: undefined })}
      >
        {assignments.value.map((one) => (
          <option key={one.id} value={one.id}>
            {one.title}
          </option>
        ))}
      </select>
    </p>
  );
}
