// The update: the weights before and after one step of the server's optimizer. Nothing changes until the reader keeps it.
import { Formula } from "../../components/Formula.tsx";
import { MatrixTable } from "../../components/MatrixTable.tsx";
import { NumberText } from "../../components/NumberText.tsx";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { useCall } from "../../components/useCall.ts";
import { type Numbers, nameOf } from "../../model/entry.ts";
import { shortNumber } from "../../model/number.ts";
import { computeLoss } from "../../rpc/pass.ts";
import { updated } from "../../rpc/update.ts";
import { setFrame } from "../../state/gaze.ts";
import { type Subject, show } from "../../state/network.ts";

interface Props {
  readonly subject: Subject;
  readonly numbers: Numbers;
}

/** Shows the last frame of the player. */
export function Update({ subject, numbers }: Props) {
  const { value, problem } = useCall(
    async (signal) => {
      const network = await updated(subject.network, subject.batch, signal);
      return { network, loss: await computeLoss(network, subject.batch, signal) };
    },
    [subject],
  );
  if (problem) return <ProblemBox problem={problem} />;
  if (!value || !numbers.pass) return <p class="quiet">The server takes the step …</p>;
  const { trainer } = subject.network.spec;
  const keep = () => {
    setFrame(undefined);
    show({ ...subject, network: value.network }, { remember: true });
  };
  return (
    <section class="update card" aria-label="The update">
      <p>
        η = {shortNumber(subject.network.spec.learningRate)}: the loss goes from{" "}
        <NumberText value={numbers.pass.loss} /> to <NumberText value={value.loss} />.
      </p>
      {trainer && (
        <p class="trainer">
          The model is trained by {trainer}, whose step needs more than this gradient. This is the step of plain SGD
          with the model's learning rate; the model itself does not move.
        </p>
      )}
      <div class="layer-tables">
        {value.network.parameters.map(({ W }, index) => {
          const layer = index + 1;
          return (
            <MatrixTable
              key={layer}
              matrix={W}
              name={`new W${layer}`}
              caption={
                <>
                  new <Formula latex={`W^{${layer}}`} plain={`W${layer}`} />
                </>
              }
              nameOf={({ row, column }) => `new ${nameOf({ quantity: "W", layer, row, column }, W)}`}
            />
          );
        })}
      </div>
      <button type="button" class="primary" onClick={keep}>
        Continue with the new weights
      </button>
    </section>
  );
}
