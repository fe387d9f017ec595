// Loss and accuracy over the steps, drawn by uPlot at most ten times a second; the last evaluations as a table.
import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { NumberText } from "../../components/NumberText.tsx";
import { joined } from "../../model/curve.ts";
import { shortNumber } from "../../model/number.ts";
import { batches, drawn, heldOut, lastHeldOut } from "../../state/training.ts";
import { percent } from "./Status.tsx";

/** The curves. */
export function Curves() {
  const rows = lastHeldOut.value;
  const isLogarithmic = useSignal(false);
  const isRegression = rows.some((one) => one.determination !== undefined);
  return (
    <section class="curves" aria-label="Curves">
      <p class="row curves-head">
        <span class="legend">
          <span class="key batch" /> mini-batch <span class="key held" /> held out
        </span>
        <label>
          <input
            type="checkbox"
            checked={isLogarithmic.value}
            onChange={(event) => {
              isLogarithmic.value = event.currentTarget.checked;
            }}
          />{" "}
          logarithmic loss
        </label>
      </p>
      <Plot value={0} title="Loss" isLogarithmic={isLogarithmic.value} />
      <Plot value={1} title={isRegression ? "R² on held-out rows" : "Accuracy"} />
      {rows.length > 0 && (
        <details>
          <summary>The last evaluations as a table</summary>
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Step</th>
                <th scope="col">Epoch</th>
                <th scope="col">Held-out loss</th>
                <th scope="col">{isRegression ? "R²" : "Accuracy"}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((one) => (
                <tr key={String(one.step)}>
                  <td>{String(one.step)}</td>
                  <td>{one.epoch}</td>
                  <td>
                    <NumberText value={one.loss} />
                  </td>
                  <td>
                    {one.accuracy !== undefined
                      ? percent(one.accuracy)
                      : one.determination !== undefined && <NumberText value={one.determination} />}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </section>
  );
}

interface PlotProps {
  /** Which value of the curves. */
  readonly value: 0 | 1;
  readonly title: string;
  readonly isLogarithmic?: boolean;
}

const REDRAW_MS = 100;

function Plot({ value, title, isLogarithmic = false }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const isUndrawable = useSignal(false);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    let plot: uPlot | undefined;
    let timer: number | undefined;
    let isGone = false;
    const draw = () => {
      timer = undefined;
      plot?.setData(joined(batches, heldOut, value));
    };
    const stop = effect(() => {
      void drawn.value;
      timer ??= window.setTimeout(draw, REDRAW_MS);
    });
    const resize = new ResizeObserver(() => plot?.setSize(sizeOf(element)));
    const load = async () => {
      const [{ default: UPlot }] = await Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]);
      if (isGone) return;
      plot = new UPlot(optionsFor(UPlot, element, isLogarithmic), joined(batches, heldOut, value), element);
      resize.observe(element);
    };
    // Such as where the browser names a language that it does not know itself.
    load().catch(() => {
      isUndrawable.value = true;
    });
    const theme = new MutationObserver(() => plot?.redraw(false, true));
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      isGone = true;
      stop();
      clearTimeout(timer);
      resize.disconnect();
      theme.disconnect();
      plot?.destroy();
    };
  }, [value, isLogarithmic]);
  return (
    <figure class="plot">
      <figcaption>
        <strong>{title}</strong>
      </figcaption>
      {isUndrawable.value && (
        <p role="status">
          This browser cannot draw the curve. The numbers are in the status above and in the table below.
        </p>
      )}
      <div
        ref={place}
        class="canvas"
        role="img"
        aria-label={`${title} over the steps; the numbers are in the status above and in the table below`}
      />
    </figure>
  );
}

function sizeOf(element: HTMLElement): { width: number; height: number } {
  const width = Math.max(240, element.clientWidth);
  return { width, height: Math.round(Math.min(320, Math.max(180, width * 0.42))) };
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function optionsFor(UPlot: typeof uPlot, element: HTMLElement, isLogarithmic: boolean): uPlot.Options {
  const size = Number.parseFloat(getComputedStyle(element).fontSize) * 0.8;
  const axis: uPlot.Axis = {
    stroke: () => colour("--ink-quiet"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1 },
    font: `${size}px system-ui, sans-serif`,
  };
  return {
    ...sizeOf(element),
    cursor: { drag: { x: false, y: false } },
    legend: { show: false },
    scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : {} },
    axes: [
      { ...axis, size: size * 2.6 },
      {
        ...axis,
        size: size * 5,
        values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : shortNumber(tick, 3))),
      },
    ],
    series: [
      {},
      { stroke: () => colour("--accent"), width: 1, spanGaps: true, points: { show: false } },
      {
        stroke: () => colour("--negative"),
        width: 2.5,
        spanGaps: true,
        points: { show: false },
        paths: UPlot.paths.linear?.() ?? (() => null),
      },
    ],
  };
}
