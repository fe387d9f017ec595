// Networks that each show one thing, as parameters of an address: a teacher sends `#/network?example=NAME`.

/** A network with something to see in it. */
export interface Example {
  readonly name: string;
  readonly title: string;
  /** What to look at. */
  readonly text: string;
  readonly params: Readonly<Record<string, string>>;
}

export const EXAMPLES: readonly Example[] = [
  {
    name: "first",
    title: "A small network",
    text: "Two inputs, two hidden layers, one output, two samples.",
    params: {
      net: "2-3-2-1",
      W1: "0.8,0.3;-0.5,0.9;-0.6,0.5",
      W2: "0.7,-0.6,0.5;-0.4,0.8,0.2",
      W3: "0.9,-0.7",
      x: "-1,0.5;1,2",
      y: "-1;1",
      rate: "0.1",
    },
  },
  {
    name: "homework",
    title: "The homework's network",
    text: "4-3-2-1 with ReLU, weights of seed 1, two samples.",
    params: { net: "4-3-2-1", seed: "1", x: "1,2,3,4;-1,0,1,2", y: "1;-1", rate: "0.01" },
  },
  {
    name: "dead-relu",
    title: "A dead ReLU",
    text: "Unit 2 of layer 1 is negative for every sample: its weights get no gradient, and never will.",
    params: {
      net: "2-3-1",
      W1: "0.6,0.4;-0.9,-0.7;0.5,-0.3",
      W2: "0.8,1.1,-0.6",
      x: "1,2;2,0.5;0.5,1",
      y: "1;0;2",
      rate: "0.1",
    },
  },
  {
    name: "vanishing",
    title: "A vanishing gradient",
    text: "Seven sigmoid layers: each passes on at most a quarter, and the first one hardly learns.",
    params: {
      net: "1-1-1-1-1-1-1-1-1",
      act: "sigmoid,sigmoid,sigmoid,sigmoid,sigmoid,sigmoid,sigmoid,linear",
      W1: "0.9",
      W2: "-0.8",
      W3: "0.7",
      W4: "0.9",
      W5: "-0.6",
      W6: "0.8",
      W7: "0.9",
      W8: "1",
      x: "1.5",
      y: "1",
      rate: "0.5",
    },
  },
  {
    name: "mask",
    title: "The missing mask",
    text: "Unit 1 of layer 2 is off for sample 1 and on for sample 2: without the mask, dW² would count both.",
    params: {
      net: "2-2-2-1",
      W1: "1,0.5;0.4,-0.6",
      W2: "-0.7,0.3;0.5,0.8",
      W3: "1,-0.5",
      x: "1,1;-2,0.5",
      y: "0;1",
      rate: "0.1",
    },
  },
  {
    name: "mean",
    title: "Where 1/m goes",
    text: "Three equal samples: δ has 1/m in it, so the sum over the samples is the gradient of one.",
    params: { net: "2-2-1", W1: "0.5,0.4;-0.3,0.9", W2: "0.8,0.6", x: "1,2;1,2;1,2", y: "0;0;0", rate: "0.1" },
  },
];
