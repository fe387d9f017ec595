// The network: its picture and its tables, the player, the chosen number, and where other networks come from.
import "../styles/diagram.css";
import "../styles/equation.css";
import "../styles/nudge.css";
import "../styles/player.css";
import "./network/network.css";
import { canBeDrawn } from "../components/diagram/layout.ts";
import { ProblemBox } from "../components/ProblemBox.tsx";
import type { Numbers } from "../model/entry.ts";
import { EXAMPLES } from "../model/examples.ts";
import { shapeName } from "../model/network.ts";
import { param, place, setParams } from "../state/address.ts";
import { frame } from "../state/gaze.ts";
import { isBeyondLink, MOST_IN_ADDRESS, pass, type Subject, subject, subjectProblem } from "../state/network.ts";
import { Chooser } from "./network/Chooser.tsx";
import { EntryPanel } from "./network/EntryPanel.tsx";
import { Intro, Tour } from "./network/Intro.tsx";
import { Picture } from "./network/Picture.tsx";
import { Player } from "./network/Player.tsx";
import { chosenLayer } from "./network/Summary.tsx";
import { Tables } from "./network/Tables.tsx";
import { Update } from "./network/Update.tsx";

const chooseParam = param("choose");
const exampleParam = param("example");

/** The view. */
export default function NetworkView() {
  const problem = subjectProblem.value;
  const shown = subject.value;
  const isChoosing = chooseParam.value !== undefined;
  return (
    <div class="network-view">
      <Intro />
      <Heading />
      {isChoosing && <Chooser />}
      {problem && <ProblemBox problem={problem} />}
      {shown && <Lesson shown={shown} />}
    </div>
  );
}

/** What the network is, and the way to another one. */
function Heading() {
  const isChoosing = chooseParam.value !== undefined;
  const isStart = place.value.view === "";
  const example = EXAMPLES.find(({ name }) => name === exampleParam.value);
  const spec = subject.value?.network.spec;
  return (
    <div class="heading">
      {!isStart && <h1>{example?.title ?? (spec && spec.layers.length < 12 ? shapeName(spec) : "Network")}</h1>}
      {example && <p class="quiet">{example.text}</p>}
      {!isStart && (
        <button
          type="button"
          aria-expanded={isChoosing}
          onClick={() => setParams({ choose: isChoosing ? undefined : "1" })}
        >
          {isChoosing ? "Close" : "Another network"}
        </button>
      )}
    </div>
  );
}

function Lesson({ shown }: { readonly shown: Subject }) {
  const numbers: Numbers = { ...shown, pass: pass.value };
  const { spec } = numbers.network;
  const isSmall = canBeDrawn(spec);
  const isDeep = spec.layers.length > 5 || !isSmall;
  return (
    <>
      <Tour />
      <div class={`lesson ${isDeep ? "deep" : ""}`}>
        <div class="stage">
          <Picture numbers={numbers} />
          {isBeyondLink.value && (
            <p class="notice" role="status">
              Your changes are on this page alone: the link holds up to {MOST_IN_ADDRESS} numbers, and this network with
              its samples has more. The link, and the page when it is loaded again, show it without them.
            </p>
          )}
          {isSmall && <Player />}
          {frame.value?.id === "update" && <Update subject={shown} numbers={numbers} />}
        </div>
        <EntryPanel subject={shown} numbers={numbers} />
        <Tables numbers={numbers} {...(!isSmall && { only: chosenLayer(numbers) })} />
      </div>
    </>
  );
}
