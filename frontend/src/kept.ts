// The page that the notebook keeps of a widget, and the live view that takes its place when it has opened.

import type { Channel } from "./channel";

/**
 * waiting: the kernel has not answered yet, and the kept page is shown; silent: it has not for long, or there is none;
 * gone: it doesn't know the widget; open: the live view is shown. The style of the kept page looks at this
 * (histkit/notebook/snapshot.py).
 */
export type ViewState = "waiting" | "silent" | "gone" | "open";

export function markView(root: HTMLElement, state: ViewState): void {
  root.dataset.histkitView = state;
}

/** Mark a view that has not opened by what its channel knows of the kernel. */
export function markWaiting(root: HTMLElement, channel: Channel): () => void {
  markView(root, "waiting");
  return channel.on("status", (status) => {
    if (root.dataset.histkitView !== "open") markView(root, status === "gone" || status === "silent" ? status : "waiting");
  });
}
