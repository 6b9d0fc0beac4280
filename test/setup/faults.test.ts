/**
 * Every exchange of a setup and of a reset goes wrong once: before the card did it, after, and with the card taken out. Then the same command
 * completes; no PIN try is lost, and the file of secrets has what the card has. A fiftieth by chance here; SWEEP=all does all of it.
 */
import { beforeAll, expect, test } from "@jest/globals";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { randomFrom } from "../sweep/random.ts";
import { cardOf, digitsOf, FAULTS, imageOf, imageText, SetupBench } from "./rig.ts";
import { SeededRandom } from "../seeded-random.ts";

const SERIAL = "7654321";
const PLAN = {
  plan: 1,
  card: { kind: "yubikey" },
  pin: "random",
  puk: "random",
  managementKey: { value: "random", algorithm: "aes-192", protectedByPin: true },
  tries: { pin: 5, puk: 4 },
  chuid: {},
  keys: [
    { slot: "9a", algorithm: "p256", certificate: { kind: "self-signed", subject: "CN=Ada" } },
    { slot: "9c", algorithm: "p256", certificate: { kind: "request", subject: "CN=Ada" } },
  ],
};
const RESET = { ...PLAN, reset: true, keys: [] };

const { seed } = new SeededRandom();
const oneIn = process.env["SWEEP"] === "all" ? 1 : 50;

let empty: string;
let withoutMetadata: string;
let used: string;
beforeAll(async () => {
  const options = { yubico: true, empty: true, serial: Number(SERIAL) };
  empty = (await VirtualPivCard.create(options)).image();
  withoutMetadata = (await VirtualPivCard.create({ ...options, deviations: ["no-metadata"] })).image();
  const bench = new SetupBench(cardOf(empty));
  await bench.setUp(PLAN);
  used = imageText(bench.card);
});

function isAsItShouldBe(bench: SetupBench, plan: typeof PLAN): void {
  const image = imageOf(bench.card);
  const secrets = bench.secrets(`${SERIAL}.secrets`);
  expect(digitsOf(image.pin)).toBe(secrets["pin"]);
  expect(digitsOf(image.puk)).toBe(secrets["puk"]);
  expect(image.managementKey).toEqual({ algorithm: "aes-192", value: secrets["management-key"] });
  expect(image.objects["5fc109"]).toBe(`881a8918${secrets["management-key"] ?? ""}`);
  expect([image.pin.tries, image.pin.maxTries, image.puk.tries, image.puk.maxTries]).toEqual([5, 5, 4, 4]);
  expect(Object.keys(image.keys)).toEqual(plan.keys.map(({ slot }) => slot));
  expect(image.objects["5fc105"] !== undefined).toBe(plan.keys.length > 0);
}

test.each([
  ["a new card", () => empty, PLAN],
  ["a new card that tells nothing of its PINs", () => withoutMetadata, PLAN],
  ["a card in service, which is reset first", () => used, RESET],
])("%s is set up after any fault", async (name, image, plan) => {
  const whole = new SetupBench(cardOf(image()));
  whole.answer = true;
  await whole.setUp(plan);
  const { exchanges } = whole;
  const random = randomFrom(`${seed} ${name}`);
  for (let position = 1; position <= exchanges; position++) {
    for (const fault of FAULTS) {
      if (random(oneIn) !== 0) continue;
      const bench = new SetupBench(cardOf(image()));
      bench.answer = true;
      bench.strikeAt(position, fault);
      const where = `TEST_SEED=${seed}, exchange ${position} of ${exchanges}, ${fault}`;
      await bench.setUp(plan).catch(() => undefined);
      bench.heal();
      try {
        await bench.setUp(plan);
        isAsItShouldBe(bench, plan);
      } catch (cause) {
        throw new Error(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
      }
    }
  }
});

test("a reset is completed after any fault", async () => {
  const erase = (bench: SetupBench): Promise<void> => bench.tools().connect(async ({ token }) => token.erase?.());
  const whole = new SetupBench(cardOf(used));
  await erase(whole);
  const random = randomFrom(`${seed} reset`);
  for (let position = 1; position <= whole.exchanges; position++) {
    for (const fault of FAULTS) {
      if (random(Math.ceil(oneIn / 5)) !== 0) continue;
      const bench = new SetupBench(cardOf(used));
      bench.strikeAt(position, fault);
      await erase(bench).catch(() => undefined);
      bench.heal();
      await erase(bench);
      const image = imageOf(bench.card);
      expect([position, fault, digitsOf(image.pin), image.pin.tries, Object.keys(image.keys)]).toEqual([
        position,
        fault,
        "123456",
        3,
        [],
      ]);
    }
  }
});
