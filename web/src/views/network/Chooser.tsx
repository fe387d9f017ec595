// Another network: an example, one's own shape with the weights of a seed, or a model on this server.
import { useState } from "preact/hooks";
import { EXAMPLES } from "../../model/examples.ts";
import { ACTIVATION_NAMES, ACTIVATIONS, type Activation, LOSSES, type Loss, sizes } from "../../model/network.ts";
import { linkTo, setParams } from "../../state/address.ts";
import { clearedSetup, showSeeded, subject } from "../../state/network.ts";

/** The three ways to another network. */
export function Chooser() {
  return (
    <section class="chooser card" aria-label="Another network">
      <div>
        <h2>Something to see</h2>
        <ul class="examples">
          {EXAMPLES.map(({ name, title, text }) => (
            <li key={name}>
              <a href={linkTo("network", { ...clearedSetup(), example: name })}>{title}</a>
              <p class="quiet">{text}</p>
            </li>
          ))}
        </ul>
      </div>
      <ShapeForm />
      <ModelForm />
    </section>
  );
}

const LOSS_NAMES: Readonly<Record<Loss, string>> = {
  half_squared_error: "half squared error, 1/(2m) Σ‖f − y‖²",
  mean_squared_error: "mean squared error",
  cross_entropy: "cross-entropy on classes",
  binary_cross_entropy: "binary cross-entropy",
};

/** A network by its shape. Its weights are those that every client of this server gets for the seed. */
function ShapeForm() {
  const spec = subject.value?.network.spec;
  const [shape, setShape] = useState(spec ? sizes(spec).join("-") : "4-3-2-1");
  const [activation, setActivation] = useState<Activation>("relu");
  const [hasBias, setHasBias] = useState(false);
  const [loss, setLoss] = useState<Loss>("half_squared_error");
  const [seed, setSeed] = useState("1");
  const units = shape.split("-").map((part) => Number(part));
  const isShape = units.length > 1 && units.every((count) => Number.isInteger(count) && count > 0);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!isShape) return;
    const [inputs = 1, ...rest] = units;
    const layers = rest.map((count, index) => ({
      units: count,
      activation: index === rest.length - 1 ? ("linear" as const) : activation,
      hasBias,
    }));
    showSeeded(
      { inputs, layers, loss, reduction: "mean", reluAtZero: 1, compute: "float64", learningRate: 0.1 },
      BigInt(/^\d{1,18}$/.test(seed) ? seed : "1"),
    );
  };
  return (
    <form onSubmit={submit}>
      <h2>Your own</h2>
      <label>
        Units of each layer
        <input
          value={shape}
          aria-invalid={!isShape}
          inputMode="text"
          onInput={(event) => setShape(event.currentTarget.value)}
        />
      </label>
      {!isShape && <p role="alert">Write the units with hyphens between them: 4-3-2-1.</p>}
      <label>
        Activation
        <select value={activation} onChange={(event) => setActivation(event.currentTarget.value as Activation)}>
          {ACTIVATIONS.map((name) => (
            <option key={name} value={name}>
              {ACTIVATION_NAMES[name]}
            </option>
          ))}
        </select>
      </label>
      <label>
        Loss
        <select value={loss} onChange={(event) => setLoss(event.currentTarget.value as Loss)}>
          {LOSSES.map((name) => (
            <option key={name} value={name}>
              {LOSS_NAMES[name]}
            </option>
          ))}
        </select>
      </label>
      <label>
        Seed of the weights
        <input value={seed} inputMode="numeric" onInput={(event) => setSeed(event.currentTarget.value)} />
      </label>
      <label class="check">
        <input type="checkbox" checked={hasBias} onChange={(event) => setHasBias(event.currentTarget.checked)} /> Biases
      </label>
      <button type="submit" class="primary">
        Show it
      </button>
    </form>
  );
}

/** A model that another program trains on this server. The page reads it, and changes nothing of it. */
function ModelForm() {
  const [name, setName] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.trim()) setParams({ ...clearedSetup(), model: name.trim() }, { remember: true });
  };
  return (
    <form onSubmit={submit}>
      <h2>A model on this server</h2>
      <p class="quiet">One that you train from Python or the command line. The page reads it and leaves it as it is.</p>
      <label>
        Its name
        <input
          value={name}
          placeholder="sessions/lab/models/hw"
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      <button type="submit">Show it</button>
    </form>
  );
}
