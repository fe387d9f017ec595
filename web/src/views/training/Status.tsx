// Where the run is, and what can be done with it.
import { useComputed, useSignalEffect } from "@preact/signals";
import { say } from "../../components/Live.tsx";
import { NumberText } from "../../components/NumberText.tsx";
import { StopReason } from "../../gen/backprop/v1/training_service_pb.ts";
import { may } from "../../state/caller.ts";
import { canResume, progress, resume, stop, watched } from "../../state/training.ts";

const ENDED: Readonly<Record<StopReason, string>> = {
  [StopReason.UNSPECIFIED]: "The run ended.",
  [StopReason.FINISHED]: "Finished: every step is taken.",
  [StopReason.DEADLINE]: "The run ended at its deadline.",
  [StopReason.CANCELLED]: "The client that trained it went away.",
  [StopReason.SHUTDOWN]: "The server stopped; the steps so far are kept.",
  [StopReason.DIVERGED]: "Diverged: the next weights would not be finite. Take a smaller learning rate.",
  [StopReason.DELETED]: "The model was deleted.",
  [StopReason.FAILED]: "The server failed; its log has the cause.",
  [StopReason.RUN_TIME]: "The run reached the server's time limit.",
  [StopReason.STOPPED]: "Stopped. The steps so far are kept.",
  [StopReason.DATASET]: "Its data was deleted, or can no longer be read.",
  [StopReason.MOVED]: "Another server of the cluster took the model; the steps so far are kept.",
  [StopReason.PATIENCE]: "Finished early: the held-out loss did not get smaller any more.",
};

/** The status. */
export function Status() {
  const { phase, step, epoch, lastStep, loss, accuracy, heldOut, ended } = progress.value;
  const end = useComputed(() => (progress.value.phase === "ended" ? progress.value.ended : undefined));
  useSignalEffect(() => {
    if (end.value !== undefined) say(ENDED[end.value]);
  });
  const isDiverged = ended === StopReason.DIVERGED && phase === "ended";
  return (
    <section class={`status card ${isDiverged ? "diverged" : ""}`} aria-label="Status" data-phase={phase}>
      <p class="row">
        <strong>{phase === "ended" && ended !== undefined ? ENDED[ended] : PHASES[phase]}</strong>
        {phase === "running" && may("StopTraining") && (
          <button type="button" onClick={() => void stop()}>
            Stop
          </button>
        )}
        {canResume.value && (
          <button type="button" onClick={() => void resume()}>
            Resume
          </button>
        )}
      </p>
      {lastStep > 0 && phase === "running" && <progress max={lastStep} value={step} aria-label="Steps" />}
      <dl class="facts">
        <Fact name="Step">
          <span class="number" data-fact="step">
            {step}
          </span>
        </Fact>
        {epoch > 0 && <Fact name="Epoch">{epoch}</Fact>}
        {loss !== undefined && (
          <Fact name="Loss">
            <NumberText value={loss} />
          </Fact>
        )}
        {accuracy !== undefined && <Fact name="Accuracy">{percent(accuracy)}</Fact>}
        {heldOut && (
          <Fact name="Held-out loss">
            <NumberText value={heldOut.loss} />
          </Fact>
        )}
        {heldOut?.accuracy !== undefined && <Fact name="Held-out accuracy">{percent(heldOut.accuracy)}</Fact>}
        {heldOut?.determination !== undefined && (
          <Fact name="Held-out R²">
            <NumberText value={heldOut.determination} />
          </Fact>
        )}
      </dl>
      <p class="quiet name-of-model">{watched.value}</p>
    </section>
  );
}

const PHASES = {
  none: "Watching: no run is in progress.",
  starting: "Starting …",
  running: "Training …",
  ended: "The run ended.",
} as const;

function Fact({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A fraction as a percentage. */
export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}
