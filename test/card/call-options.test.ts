/** The last argument of all that takes time at a card: { signal }, and nothing else. */
import { expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { type CallOptions, Card, connectCard, followReaders, SelectedApplication } from "../../src/card/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { bench, type Bench, claim, privateKey, READER } from "../piv/rig.ts";
import { FileCard, insert, RECORDING } from "../pkcs15/file-card.ts";
import { testCard } from "../virtual/keys.ts";

const PIN = utf8("123456");

const WRONG: readonly (readonly [unknown, string])[] = [
  [new AbortController().signal, "the last argument is { signal }, and not the AbortSignal itself"],
  [6, "the last argument is { signal }, or left out; lengths are not given"],
  [PIN, "the last argument is { signal }, or left out; lengths are not given"],
  [{ signal: "now" }, "signal in { signal }, the last argument, is an AbortSignal"],
];

/** Makes each call with each wrong last argument. */
async function refuseAll(calls: Readonly<Record<string, (options: CallOptions) => Promise<unknown>>>): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    for (const [last, message] of WRONG) {
      const outcome = await call(last as CallOptions).catch((error: unknown) => error);
      expect([name, outcome]).toMatchObject([name, { name: "CardError", message }]);
    }
  }
}

/** Exchanges that reach the card while `work` lasts. */
async function exchanges({ commands }: Bench, work: () => Promise<void>): Promise<number> {
  const before = commands.length;
  await work();
  return commands.length - before;
}

test("of a card, its holds, and what is selected on it", async () => {
  const rig = bench(await testCard());
  const card = new Card(await rig.pcsc.connect(READER));
  const hold = await card.holdTurn({ signal: new AbortController().signal });
  const nothing = (): Promise<void> => Promise.resolve();
  const application = new SelectedApplication(card, { select: nothing, probe: () => Promise.resolve(true) });
  const sent = await exchanges(rig, () =>
    refuseAll({
      exclusively: (options) => card.exclusively(nothing, options),
      hold: (options) => card.hold(options),
      holdTurn: (options) => card.holdTurn(options),
      "a hold's exclusively": (options) => hold.exclusively(nothing, options),
      "a hold's claim": (options) => hold.claim(options),
      runConfirmed: (options) => application.runConfirmed(nothing, options),
      runReselected: (options) => application.runReselected(nothing, options),
      runOptimistically: (options) => application.runOptimistically(nothing, options),
      connectCard: (options) => connectCard(rig.pcsc, READER, options),
    }),
  );
  expect(sent).toBe(0);
  await hold[Symbol.asyncDispose]();
  await card.exclusively(nothing, { signal: undefined });
});

test("of the readers that are followed", async () => {
  const { pcsc } = bench(await testCard());
  for (const [last, message] of WRONG) {
    const readers = followReaders(pcsc, last as CallOptions);
    await expect(readers.next()).rejects.toMatchObject({
      name: "CardAccessError",
      message: `SCARD_E_INVALID_PARAMETER: ${message}`,
    });
  }
});

test("of a PIV card's token, of which a PIN spends no try", async () => {
  const rig = bench(await testCard());
  const { token } = await claim(rig);
  const key = await privateKey(token, 1);
  await key.publicKey();
  await token.login("user", PIN, { signal: new AbortController().signal });
  const held = await token.authenticate?.(key, PIN);
  const input = new Uint8Array(256).fill(1);
  const sent = await exchanges(rig, () =>
    refuseAll({
      login: (options) => token.login("user", utf8("000000"), options),
      use: (options) => token.use(key, "rsa-raw", input, options),
      authenticate: async (options) => token.authenticate?.(key, utf8("000000"), options),
      changePin: async (options) => token.changePin?.("user", PIN, utf8("654321"), options),
      unlockPin: async (options) => token.unlockPin?.(utf8("12345678"), PIN, options),
      generateKeyPair: async (options) =>
        token.generateKeyPair?.({ type: { type: "rsa", modulusBits: 2048 }, id: Uint8Array.of(1) }, options),
    }),
  );
  expect(sent).toBe(0);
  await expect(held?.use("rsa-raw", input, new AbortController().signal as CallOptions)).rejects.toThrow(
    "the last argument is { signal }, and not the AbortSignal itself",
  );
  await token.logout();
  expect((await token.pinStatus("user")).triesLeft).toBe(3);
});

test("of a PKCS #15 card's token, of which a PIN spends no try", async () => {
  const application = await pkcs15.claim(await insert(new FileCard(RECORDING)), "thorough");
  const [token] = application?.tokens ?? [];
  if (!token) throw new Error("no token");
  await refuseAll({
    login: (options) => token.login("user", PIN, options),
    changePin: async (options) => token.changePin?.("user", PIN, utf8("654321"), options),
    setLabel: async (options) => token.setLabel?.("label", options),
    createObject: async (options) =>
      token.createObject?.(
        { class: "data", label: "a", application: "b", private: false, value: fromHex("01") },
        options,
      ),
  });
});
