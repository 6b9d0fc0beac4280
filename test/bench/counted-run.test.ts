import { describe, expect, test } from "@jest/globals";
import { CardFactory } from "../../bench/cards.ts";
import { countedRun } from "../../bench/counted-run.ts";
import { CountingCard } from "../../bench/counting-card.ts";
import type { Launch } from "../../bench/drivers.ts";
import { fromHex } from "../../src/bytes/index.ts";

/** A driver that prints these lines, each after it was told to go on, and ends as `ending` has it. */
function printing(lines: readonly string[], ending = "process.exit(0)"): Launch {
  const script = `
    const lines = ${JSON.stringify(lines)};
    const next = () => { lines.length > 0 ? console.log(lines.shift()) : (() => { ${ending} })(); };
    process.stdin.on("data", next);
    next();`;
  return { program: process.execPath, args: ["-e", script] };
}

const newCard = async (): Promise<CountingCard> => new CountingCard(await new CardFactory().make("short", false));

describe("a counted run", () => {
  test("gives each step what the card saw until then, and nothing from before", async () => {
    const card = await newCard();
    await card.transmit(fromHex("00ca000000"));
    const { steps, refusal } = await countedRun(card, printing(["done one", "done two"]), {});
    expect(steps).toEqual([
      { detail: "one", exchanges: [] },
      { detail: "two", exchanges: [] },
    ]);
    expect(refusal).toBeUndefined();
  });

  test("tells why a driver gave up", async () => {
    const run = await countedRun(
      await newCard(),
      printing(["done one"], `console.log("refused C_Sign 0x101"); process.exitCode = 1; process.stdin.destroy()`),
      {},
    );
    expect(run.refusal).toBe("C_Sign 0x101");
    const crash = printing([], `console.error("what a pity"); process.exit(3)`);
    expect(await countedRun(await newCard(), crash, {})).toEqual({ steps: [], refusal: "what a pity" });
  });

  test("takes a program without steps as one step", async () => {
    const launch = { ...printing(["all is well"]), args: ["-e", ""], oneStep: true };
    const { steps } = await countedRun(await newCard(), launch, {});
    expect(steps).toEqual([{ detail: "", exchanges: [] }]);
  });

  test("gives the driver a home where nothing is remembered", async () => {
    const script = `console.log("done " + require("node:fs").readdirSync(process.env.HOME).length); process.stdin.once("data", () => process.exit())`;
    const { steps } = await countedRun(await newCard(), { program: process.execPath, args: ["-e", script] }, {});
    expect(steps[0]?.detail).toBe("0");
  });
});
