// The frames of the player: every quantity of the forward and the backward pass in the order in which it is computed.
import type { Shown } from "./entry.ts";
import { ACTIVATION_NAMES, type Layer, type Loss, type Spec } from "./network.ts";
import { raised } from "./number.ts";

/** A step of the player. */
export interface Frame {
  /** As in the address: "z1", "loss", "dW2", "update". */
  readonly id: string;
  /** On the strip: "z¹". */
  readonly label: string;
  readonly phase: "forward" | "loss" | "backward" | "update";
  /** What the step computes; none for the update. */
  readonly quantity?: Shown;
  readonly layer: number;
  /** The formula of the whole matrix. */
  readonly latex: string;
  readonly plain: string;
  /** A sentence that says what happens. */
  readonly text: string;
}

/** All frames of a network. */
export function framesOf(spec: Spec): readonly Frame[] {
  const last = spec.layers.length;
  const forward = spec.layers.flatMap((layer, index) => forwardFrames(layer, index + 1, last));
  const backward = [...spec.layers.keys()].reverse().flatMap((index) => backwardFrames(spec, index + 1));
  return [INPUTS, ...forward, lossFrame(spec.loss), deltaFrame(spec), ...backward, UPDATE];
}

/** Whether a quantity is computed when the player stands at `frame`; everything is, without a player. */
export function isKnownAt(frames: readonly Frame[], frame: Frame | undefined, quantity: Shown, layer: number): boolean {
  if (!frame || ["W", "b", "x", "y"].includes(quantity)) return true;
  const spoken = quantity === "db" ? "dW" : quantity;
  const last = frames.reduce((most, known) => Math.max(most, known.layer), 0);
  // δ is dz of the last layer; ∂l/∂f comes with it.
  const isOutput = (spoken === "dz" || spoken === "dh") && layer === last;
  const wanted = isOutput ? "delta" : `${spoken}${layer || ""}`;
  const when = frames.findIndex((known) => known.id === wanted);
  if (when < 0) return frames.indexOf(frame) >= frames.findIndex((known) => known.id === "dW1");
  return when <= frames.indexOf(frame);
}

/** Whether a quantity is what the player computes at `frame`. */
export function isCurrentAt(
  frames: readonly Frame[],
  frame: Frame | undefined,
  { quantity, layer }: { readonly quantity: Shown; readonly layer: number },
): boolean {
  if (!frame) return false;
  // δ stands where dz of the last layer does.
  if (frame.id === "delta") {
    return quantity === "dz" && layer === frames.reduce((most, known) => Math.max(most, known.layer), 0);
  }
  return frame.quantity === quantity && frame.layer === layer;
}

/** Whether the picture is turned backward in a frame. */
export function isBackwardAt({ phase }: Frame): boolean {
  return phase === "backward" || phase === "update";
}

const INPUTS: Frame = {
  id: "x",
  label: "x",
  phase: "forward",
  quantity: "x",
  layer: 0,
  latex: "h^{0} = x",
  plain: "h⁰ = x",
  text: "The samples are the rows of x. Everything starts with them.",
};

const UPDATE: Frame = {
  id: "update",
  label: "update",
  phase: "update",
  layer: 0,
  latex: "W^{i} \\leftarrow W^{i} - \\eta \\, dW^{i}",
  plain: "Wⁱ ← Wⁱ − η dWⁱ",
  text: "Each weight takes a step against its gradient. Going back keeps the first weights.",
};

function forwardFrames(layer: Layer, i: number, last: number): readonly Frame[] {
  const up = raised(String(i));
  const below = i === 1 ? "x" : `h^{${i - 1}}`;
  const belowPlain = i === 1 ? "x" : `h${raised(String(i - 1))}`;
  const bias = layer.hasBias;
  const isOutput = i === last;
  return [
    {
      id: `z${i}`,
      label: `z${up}`,
      phase: "forward",
      quantity: "z",
      layer: i,
      latex: `z^{${i}} = ${below} {W^{${i}}}^\\top${bias ? ` + b^{${i}}` : ""}`,
      plain: `z${up} = ${belowPlain} W${up}ᵀ${bias ? ` + b${up}` : ""}`,
      text: `Each unit of layer ${i} adds up what comes in, times its weights.`,
    },
    {
      id: `h${i}`,
      label: isOutput ? "f" : `h${up}`,
      phase: "forward",
      quantity: "h",
      layer: i,
      latex: `${isOutput ? "f = " : ""}h^{${i}} = ${activationLatex(layer, `z^{${i}}`)}`,
      plain: `${isOutput ? "f = " : ""}h${up} = σ(z${up})`,
      text: isOutput
        ? "The outputs of the network."
        : `The activation (${ACTIVATION_NAMES[layer.activation]}), entry by entry.`,
    },
  ];
}

function backwardFrames(spec: Spec, i: number): readonly Frame[] {
  const layer = spec.layers[i - 1];
  const below = spec.layers[i - 2];
  const [up, down] = [raised(String(i)), raised(String(i - 1))];
  const last = spec.layers.length;
  const dz = i === last ? "\\delta" : `dz^{${i}}`;
  const dzPlain = i === last ? "δ" : `dz${up}`;
  const weights: Frame = {
    id: `dW${i}`,
    label: `dW${up}`,
    phase: "backward",
    quantity: "dW",
    layer: i,
    latex: `dW^{${i}} = {${dz}}^\\top ${i === 1 ? "x" : `h^{${i - 1}}`}`,
    plain: `dW${up} = ${dzPlain}ᵀ ${i === 1 ? "x" : `h${down}`}`,
    text: `A weight's gradient: what came into it, times what comes back to its unit, summed over the samples${layer?.hasBias ? `; db${up} is the sum of ${dzPlain} alone` : ""}.`,
  };
  if (!below) return [weights];
  return [
    weights,
    {
      id: `dh${i - 1}`,
      label: `dh${down}`,
      phase: "backward",
      quantity: "dh",
      layer: i - 1,
      latex: `dh^{${i - 1}} = ${dz} \\, W^{${i}}`,
      plain: `dh${down} = ${dzPlain} W${up}`,
      text: `What layer ${i} says goes back through the same weights.`,
    },
    {
      id: `dz${i - 1}`,
      label: maskLabel(below, i - 1),
      phase: "backward",
      quantity: "dz",
      layer: i - 1,
      latex: `dz^{${i - 1}} = dh^{${i - 1}} \\odot ${slopeLatex(below, `z^{${i - 1}}`, spec.reluAtZero)}`,
      plain: `dz${down} = dh${down} ⊙ σ′(z${down})`,
      text: isMasking(below)
        ? "The mask: where a unit was off, nothing goes back."
        : `Times the slope of ${ACTIVATION_NAMES[below.activation]} where each unit stands.`,
    },
  ];
}

function lossFrame(loss: Loss): Frame {
  const [latex, plain] = LOSS_FORMULAS[loss];
  return {
    id: "loss",
    label: "l",
    phase: "loss",
    quantity: "loss",
    layer: 0,
    latex,
    plain,
    text: "One number says how far the outputs are from the targets.",
  };
}

function deltaFrame(spec: Spec): Frame {
  const last = spec.layers.length;
  return {
    id: "delta",
    label: "δ",
    phase: "backward",
    quantity: "delta",
    layer: 0,
    latex: `\\delta = \\frac{\\partial l}{\\partial z^{${last}}}`,
    plain: `δ = ∂l/∂z${raised(String(last))}`,
    text: `Backwards from here. δ says how the loss changes with each output${spec.reduction === "mean" ? "; 1/m is in it" : ""}.`,
  };
}

const LOSS_FORMULAS: Readonly<Record<Loss, readonly [string, string]>> = {
  half_squared_error: ["l = \\frac{1}{2m} \\sum_k \\lVert f_k - y_k \\rVert^2", "l = 1/(2m) Σ‖f − y‖²"],
  mean_squared_error: ["l = \\frac{1}{m\\,n} \\sum_{k,j} (f_{kj} - y_{kj})^2", "l = 1/(m·n) Σ(f − y)²"],
  cross_entropy: [
    "l = -\\frac{1}{m} \\sum_k y_k \\cdot \\log \\operatorname{softmax}(f_k)",
    "l = −1/m Σ y log softmax(f)",
  ],
  binary_cross_entropy: [
    "l = -\\frac{1}{m\\,n} \\sum_{k,j} y \\log \\sigma(f) + (1 - y) \\log(1 - \\sigma(f))",
    "l = −1/(m·n) Σ y log σ(f) + (1 − y) log(1 − σ(f))",
  ],
};

/** Whether the slope of a layer is a mask of zeros and ones. */
export function isMasking(layer: Layer): boolean {
  return layer.activation === "relu";
}

function maskLabel(layer: Layer, i: number): string {
  return isMasking(layer) ? `mask${raised(String(i))}` : `dz${raised(String(i))}`;
}

function activationLatex({ activation, leakySlope = 0.01 }: Layer, z: string): string {
  switch (activation) {
    case "linear":
      return z;
    case "relu":
      return `\\max(0, ${z})`;
    case "leaky_relu":
      return `\\max(${leakySlope}\\,${z}, ${z})`;
    default:
      return `\\operatorname{${activation}}(${z})`;
  }
}

function slopeLatex(layer: Layer, z: string, reluAtZero: 0 | 1): string {
  if (layer.activation === "linear") return "1";
  return isMasking(layer) ? `1[${z} ${reluAtZero === 1 ? "\\geq" : ">"} 0]` : `\\sigma'(${z})`;
}
