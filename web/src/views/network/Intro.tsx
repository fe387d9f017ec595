// The first minute: one sentence, three doors, and a tour of six steps.

import { say } from "../../components/Live.tsx";
import { linkTo, param, place, setParams } from "../../state/address.ts";

/** The sentence and the doors; only where the page begins. */
export function Intro() {
  if (place.value.view !== "") return null;
  return (
    <section class="intro">
      <h1>See how each derivative of a neural network is formed.</h1>
      <p class="lead">This one is alive: choose a number, change a weight, step through the backward pass.</p>
      <div class="doors">
        <button type="button" class="door" onClick={() => goToStep(0)}>
          <strong>Play</strong>
          <span>A tour in six steps, then it is yours.</span>
        </button>
        <a class="door" href={linkTo("homework")}>
          <strong>Homework</strong>
          <span>Your formula, checked while you write it.</span>
        </a>
        <a class="door" href={linkTo("network", { choose: "1" })}>
          <strong>My model</strong>
          <span>Your shape, your weights, or a model on this server.</span>
        </a>
      </div>
    </section>
  );
}

interface TourStep {
  readonly title: string;
  readonly text: string;
  /** What the address shows during the step. */
  readonly shows: Readonly<Record<string, string | undefined>>;
}

const NOTHING = { dir: undefined, frame: undefined, at: undefined, expand: undefined } as const;

const TOUR: readonly TourStep[] = [
  {
    title: "Units and weights",
    text: "Each box is a unit: on the left z, what it adds up, on the right h, what it gives out. Each line is a weight. Point at anything to read it in full.",
    shows: NOTHING,
  },
  {
    title: "A unit that is off",
    text: "A hatched unit has z < 0, and ReLU makes that 0. It gives nothing forward, and you will see that nothing comes back through it.",
    shows: { ...NOTHING, frame: "h1" },
  },
  {
    title: "From the outputs to one number",
    text: "The loss compares the outputs with the targets y. Everything that follows asks: how does this number change?",
    shows: { ...NOTHING, frame: "loss" },
  },
  {
    title: "Backwards",
    text: "δ is how the loss changes with the output. From here each layer passes it on through the same weights. What is not computed yet says so: it is not 0.",
    shows: { ...NOTHING, dir: "backward", frame: "delta" },
  },
  {
    title: "Why this number?",
    text: "This is one entry of dW²: a sum over the samples, a product in each. Point at a factor, and its place lights up. Choose it, and it explains itself.",
    shows: { ...NOTHING, dir: "backward", at: "dW2.2.3" },
  },
  {
    title: "Do you believe it?",
    text: "Nudge a weight by h and look at what the loss does: the quotient comes close to the derivative. Now change the weight, and watch everything follow.",
    shows: { ...NOTHING, at: "W2.2.3" },
  },
];

const stepParam = param("tour");

function goToStep(index: number | undefined): void {
  const step = index === undefined ? undefined : TOUR[index];
  setParams({ ...(step?.shows ?? NOTHING), tour: step && String((index ?? 0) + 1) }, { remember: true });
  if (step) say(`${step.title}. ${step.text}`);
}

/** The current step of the tour. */
export function Tour() {
  const index = Number(stepParam.value) - 1;
  const step = TOUR[index];
  if (!step) return null;
  const isLast = index === TOUR.length - 1;
  return (
    <section class="tour" aria-label="Tour">
      <p class="tour-count">
        {index + 1} of {TOUR.length}
      </p>
      <div class="tour-text">
        <h2>{step.title}</h2>
        <p>{step.text}</p>
      </div>
      <div class="row">
        <button type="button" disabled={index === 0} onClick={() => goToStep(index - 1)}>
          Back
        </button>
        <button type="button" class="primary" onClick={() => goToStep(isLast ? undefined : index + 1)}>
          {isLast ? "It is yours" : "Next"}
        </button>
        {!isLast && (
          <button type="button" class="plain" onClick={() => goToStep(undefined)}>
            End the tour
          </button>
        )}
      </div>
    </section>
  );
}
