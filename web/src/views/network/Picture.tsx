// The picture with what turns it: forward or backward, which sample; and the number under the pointer in full.
import { Diagram } from "../../components/diagram/Diagram.tsx";
import { canBeDrawn } from "../../components/diagram/layout.ts";
import { NumberText } from "../../components/NumberText.tsx";
import { PictureSwitches } from "../../components/PictureSwitches.tsx";
import { matrixAt, type Numbers, nameOf, valueAt } from "../../model/entry.ts";
import { exact } from "../../model/matrix.ts";
import { sizes } from "../../model/network.ts";
import {
  direction,
  isCurrent,
  isKnown,
  lit,
  pick,
  picked,
  pointed,
  sample,
  setDirection,
  setSample,
} from "../../state/gaze.ts";
import { isNarrow } from "../../state/screen.ts";
import { Summary } from "./Summary.tsx";

interface Props {
  readonly numbers: Numbers;
}

/** The picture, or a summary of a network that is too large for one. */
export function Picture({ numbers }: Props) {
  const { spec } = numbers.network;
  const isUpright = isNarrow.value && Math.max(...sizes(spec)) <= 4;
  return (
    <section class="picture card" aria-label="The network">
      <Controls numbers={numbers} />
      {canBeDrawn(spec) ? (
        <Diagram
          numbers={numbers}
          sample={sample.value}
          direction={direction.value}
          isUpright={isUpright}
          isKnown={(entry) => (numbers.pass !== undefined || entry.quantity === "W") && isKnown(entry)}
          isCurrent={isCurrent}
          lit={lit.value}
          picked={picked.value}
          onPick={pick}
          onPoint={(entry) => {
            pointed.value = entry;
          }}
        />
      ) : (
        <Summary numbers={numbers} />
      )}
      <Readout numbers={numbers} />
    </section>
  );
}

function Controls({ numbers }: Props) {
  return (
    <div class="picture-bar">
      <PictureSwitches
        direction={direction.value}
        setDirection={setDirection}
        sample={sample.value}
        setSample={setSample}
        samples={numbers.batch.x.rows}
      />
      <p class="loss">
        <span class="symbol">l</span> ={" "}
        {numbers.pass && isKnown({ quantity: "loss", layer: 0 }) ? (
          <NumberText value={numbers.pass.loss} digits={5} />
        ) : (
          <span class="quiet">not yet</span>
        )}
      </p>
    </div>
  );
}

/** The number under the pointer or with the focus, with all its digits. */
function Readout({ numbers }: Props) {
  const entry = pointed.value;
  const value = entry && isKnown(entry) ? valueAt(numbers, entry) : undefined;
  return (
    <p class="readout quiet" aria-hidden="true">
      {entry ? (
        <>
          <span class="symbol">{nameOf(entry, matrixAt(numbers, entry))}</span> ={" "}
          {value === undefined ? "not yet" : exact(value).replace("-", "−")}
        </>
      ) : (
        "Solid lines are positive, dashed ones negative; the wider, the larger. Hatched units are off."
      )}
    </p>
  );
}
