import { once } from "node:events";
import { createConnection } from "node:net";
import { describe, expect, test } from "@jest/globals";
import { requirePrograms } from "./require.ts";
import { startPcscd } from "./pcscd.ts";
import { run } from "./run.ts";

const MINUTES = 60_000;

describe("the rig", () => {
  test(
    "starts pcscd with a reader of the name asked for, and starts it again after it was killed",
    async () => {
      await using daemon = await startPcscd({ friendlyName: "Yubico Virtual PCD" });
      expect(daemon.readers).toEqual(["Yubico Virtual PCD 00 00", "Yubico Virtual PCD 00 01"]);
      await daemon.kill();
      await daemon.restart({ reader: false });
      expect(daemon.readers).toEqual([]);
      await daemon.restart({ reader: true });
      expect(daemon.readers).toHaveLength(2);
      const slot = createConnection(daemon.port, "127.0.0.1");
      await once(slot, "connect");
      slot.destroy();
    },
    20 * MINUTES,
  );

  test("runs a program with input, and tells how it ended", async () => {
    const result = await run("sh", ["-c", "cat; echo $WORD >&2; exit 3"], { input: "in", env: { WORD: "hello" } });
    expect(result).toMatchObject({ code: 3, stdout: "in", stderr: "hello\n" });
    await expect(run("sleep", ["10"], { timeout: 50 })).rejects.toThrow("still ran after 50 ms");
  });

  test("says how to install what is missing", () => {
    expect(() => {
      requirePrograms("sh", "no-such-program");
    }).toThrow(/apt-get install .* no-such-program$/u);
  });
});
