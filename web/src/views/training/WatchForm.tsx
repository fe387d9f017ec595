// Another client's model to watch: by its name, or out of those that the reader may see.
import { useSignal } from "@preact/signals";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { Access, type Model } from "../../gen/backprop/v1/model_pb.ts";
import { isAborted, type Problem, problemOf } from "../../rpc/problem.ts";
import { visibleModels } from "../../rpc/training.ts";
import { setParams } from "../../state/address.ts";
import { may } from "../../state/caller.ts";

/** The form. */
export function WatchForm() {
  const name = useSignal("");
  const models = useSignal<readonly Model[] | undefined>(undefined);
  const problem = useSignal<Problem | undefined>(undefined);
  const watch = (model: string) => setParams({ watch: model, data: undefined }, { remember: true });
  const list = async () => {
    try {
      models.value = await visibleModels();
      problem.value = undefined;
    } catch (error) {
      if (!isAborted(error)) problem.value = problemOf(error);
    }
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.value.trim()) watch(name.value.trim());
  };
  return (
    <form class="card watch" onSubmit={submit} aria-labelledby="watch">
      <h2 id="watch">Watch another run</h2>
      <p class="field">
        <label for="watched">Name of the model</label>
        <input
          id="watched"
          placeholder="sessions/lab/models/hw"
          autocapitalize="off"
          spellcheck={false}
          value={name.value}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </p>
      <div class="row">
        <button type="submit">Watch</button>
        {may("ListSessions") && (
          <button type="button" onClick={() => void list()}>
            List models
          </button>
        )}
      </div>
      {problem.value && <ProblemBox problem={problem.value} />}
      {models.value && (
        <ul class="models">
          {models.value.length === 0 && <li class="quiet">There is none.</li>}
          {models.value.map((model) => (
            <li key={model.name}>
              {model.access === Access.COMPARE_ONLY ? (
                <span>{model.name}: for grading only</span>
              ) : (
                <button type="button" class="link" onClick={() => watch(model.name)}>
                  {model.name}
                </button>
              )}{" "}
              <span class="quiet">
                step {String(model.step)}
                {model.training && ", training now"}
              </span>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}
