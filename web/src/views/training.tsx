// Training: data, a network, its curves while it learns; and the runs of other clients.
import "../styles/training.css";
import { ProblemBox } from "../components/ProblemBox.tsx";
import { inputProblem } from "../rpc/problem.ts";
import { may } from "../state/caller.ts";
import { dataset, trainingProblem, watched } from "../state/training.ts";
import { Confusion } from "./training/Confusion.tsx";
import { Curves } from "./training/Curves.tsx";
import { PlanForm } from "./training/PlanForm.tsx";
import { Status } from "./training/Status.tsx";
import { WatchForm } from "./training/WatchForm.tsx";

/** The view. */
export default function Training() {
  const problem = trainingProblem.value;
  if (!may("WatchModel")) {
    return (
      <ProblemBox problem={inputProblem("Your role may not train or watch models.", "Students and instructors may.")} />
    );
  }
  return (
    <>
      <h1>Training</h1>
      <div class="training">
        <div class="training-forms">
          {may("TrainBatch") && <PlanForm />}
          <WatchForm />
        </div>
        <div class="training-shown">
          {problem && <ProblemBox problem={problem} />}
          {watched.value ? (
            <>
              <Status />
              <Curves />
              {dataset.value && <Confusion />}
            </>
          ) : (
            <p class="quiet">The curves appear here. Pick data and press Train.</p>
          )}
        </div>
      </div>
    </>
  );
}
