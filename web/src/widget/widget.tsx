// The picture of a network in a notebook. Its numbers come from the kernel, and it asks no server.
import "./widget.css";
import { render } from "preact";
import type { KernelModel } from "./kernel.ts";
import { NotebookPicture } from "./NotebookPicture.tsx";

interface Rendering {
  readonly model: KernelModel;
  readonly el: HTMLElement;
}

/** What anywidget calls for each place where the widget is shown; returns what clears the place. */
function show({ model, el }: Rendering): () => void {
  el.classList.add("backpropd");
  render(<NotebookPicture model={model} />, el);
  return () => render(null, el);
}

export default { render: show };
