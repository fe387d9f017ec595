// A number that can be changed: by typing, and by sliding.
import { exact } from "../model/matrix.ts";

interface Props {
  readonly name: string;
  readonly value: number;
  readonly onChange: (value: number) => void;
}

/** Both boxes; what is no number is left out. */
export function ValueField({ name, value, onChange }: Props) {
  const change = (text: string) => {
    const next = Number(text);
    if (text.trim() !== "" && Number.isFinite(next)) onChange(next);
  };
  const reach = Math.max(2, Math.ceil(Math.abs(value)) * 2);
  return (
    <div class="row">
      <label class="value-field">
        {name} =
        <input
          type="number"
          step="any"
          value={exact(value)}
          onChange={(event) => change(event.currentTarget.value)}
          // In JupyterLab, Enter does not make a change event.
          onKeyDown={(event) => event.key === "Enter" && change(event.currentTarget.value)}
        />
      </label>
      <input
        type="range"
        aria-label={`Slide ${name}`}
        min={-reach}
        max={reach}
        step="0.05"
        value={value}
        onInput={(event) => change(event.currentTarget.value)}
      />
    </div>
  );
}
