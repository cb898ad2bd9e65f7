import { describe, expect, it } from "vitest";
import { open, useStage } from "./stage";

useStage();

describe("a view", () => {
  it("is open when the kernel has answered, and stays so", async () => {
    const { root, wait } = await open({ rows: 30 });
    expect(root.dataset.histkitView).toBe("open");
    await wait(20_000);
    expect(root.dataset.histkitView).toBe("open");
  });

  it("shows the kernel's notes until they are closed, also after a query", async () => {
    const { kernel, app, one, wait } = await open({ rows: 30 });
    kernel.emit({ event: "note", text: "The state is not saved." });
    expect(one(".hk-message").hidden).toBe(false);
    app.filter({ text: "a" });
    await wait(100);
    expect(one(".hk-message").textContent).toContain("The state is not saved.");
    one(".hk-message button").click();
    expect(one(".hk-message").hidden).toBe(true);
  });
});
