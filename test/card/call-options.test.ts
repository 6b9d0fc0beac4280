import { describe, expect, test } from "@jest/globals";
import { cac, cacUnlisted } from "../../src/cac/index.ts";
import {
  type CallOptions,
  Card,
  type CardApplication,
  type CardProfile,
  CardRecognition,
  type CardToken,
  completedAnyway,
  untilCancelled,
} from "../../src/card/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { ScriptedCard } from "../../src/testing/index.ts";
import { AppletCard } from "../cac/applet-card.ts";
import { listedApplets } from "../cac/cards.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";

type Call = (options?: CallOptions) => Promise<unknown>;

const SENTENCE = "the last argument is { signal }, and not the AbortSignal itself";
const CARDS = {
  PIV: { profiles: [piv], card: () => testCard() },
  "PKCS #15": { profiles: [pkcs15], card: () => testPkcs15Card() },
  CAC: { profiles: [cac, cacUnlisted], card: () => new AppletCard(listedApplets()) },
} as const;

async function connected(card: InProcessCard): Promise<Card> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  return new Card(await readers.client().connect("Reader"));
}

/** What a caller in JavaScript may give for `{ signal }`. */
const bare = (signal: AbortSignal): CallOptions => signal as never;

function readsOf(token: CardToken): ReadonlyMap<string, Call> {
  const calls: readonly (readonly [name: string, call: Call | undefined])[] = [
    ["info", (options) => token.info(options)],
    ["otherSerialNumbers", token.otherSerialNumbers?.bind(token)],
    ["supportedMechanisms", token.supportedMechanisms?.bind(token)],
    ["objects", (options) => token.objects(undefined, options)],
    ["updateCount", token.updateCount?.bind(token)],
    ["pinStatus", (options) => token.pinStatus("user", false, options)],
    ["hasForgottenPin", token.hasForgottenPin?.bind(token)],
    ["logout", (options) => token.logout(options)],
    ["deviceInfo", token.deviceInfo?.bind(token)],
  ];
  return new Map(calls.flatMap(([name, call]) => (call ? [[name, call]] : [])));
}

async function objectReadsOf(token: CardToken): Promise<ReadonlyMap<string, Call>> {
  const reads = new Map<string, Call>();
  for (const object of await token.objects()) {
    const { reference } = object;
    reads.set(`${reference}: isPresent`, (options) => object.isPresent({ explicitlyRequested: true }, options));
    if ("value" in object) reads.set(`${reference}: value`, (options) => object.value(options));
    else reads.set(`${reference}: publicKey`, (options) => object.publicKey(options));
    if (object.class !== "private-key") continue;
    const { local, vendorAttributes } = object;
    if (typeof local === "function") reads.set(`${reference}: local`, local);
    for (const [number, read] of vendorAttributes ?? []) reads.set(`${reference}: attribute ${number}`, read);
  }
  return reads;
}

describe.each(Object.entries(CARDS))("the reading methods of %s", (_, { profiles, card }) => {
  const token = async (): Promise<CardToken> => {
    const application: CardApplication | undefined = await new CardRecognition(profiles).claim(
      await connected(await card()),
    );
    const [first] = application?.tokens ?? [];
    if (!first) throw new Error("no token");
    return first;
  };

  test("refuse a bare AbortSignal with a sentence that says { signal }", async () => {
    const first = await token();
    const { signal } = new AbortController();
    for (const [name, call] of [...readsOf(first), ...(await objectReadsOf(first))]) {
      const error: unknown = await call(bare(signal)).catch(String);
      expect({ name, error }).toEqual({ name, error: `CardError: ${SENTENCE}` });
    }
  });

  test("end with CardCancelledError for a signal that has aborted", async () => {
    const first = await token();
    const signal = AbortSignal.abort();
    for (const [name, call] of [...readsOf(first), ...(await objectReadsOf(first))]) {
      const error: unknown = await call({ signal }).catch((reason: unknown) => reason);
      expect({ name, error: String(error) }).toEqual({ name, error: "CardCancelledError: the call was cancelled" });
    }
  });

  test("give the same with and without a signal", async () => {
    const first = await token();
    const { signal } = new AbortController();
    expect(await first.info({ signal })).toEqual(await first.info());
    expect(await first.objects(undefined, { signal })).toHaveLength((await first.objects()).length);
    expect(await first.pinStatus("user", false, { signal })).toEqual(await first.pinStatus("user"));
  });

  test("claim and explain refuse it too", async () => {
    const one = await connected(await card());
    const { signal } = new AbortController();
    for (const profile of profiles as readonly CardProfile[]) {
      for (const effort of ["quick", "thorough"] as const) {
        await expect(profile.claim(one, effort, bare(signal))).rejects.toThrow(SENTENCE);
      }
      if (profile.explain) await expect(profile.explain(one, bare(signal))).rejects.toThrow(SENTENCE);
    }
  });
});

test("recognising a card refuses a bare AbortSignal, and sends nothing after an abort", async () => {
  const card = new ScriptedCard(() => "6a82");
  const one = await connected(card);
  const recognition = new CardRecognition([piv, pkcs15, cac]);
  const { signal } = new AbortController();
  await expect(recognition.claim(one, bare(signal))).rejects.toThrow(SENTENCE);
  await expect(recognition.explain(one, bare(signal))).rejects.toThrow(SENTENCE);
  await expect(recognition.claim(one, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    name: "CardCancelledError",
  });
  expect(card.received).toHaveLength(0);
});

test("an abort ends the wait of its own caller, and the work goes on for the others", async () => {
  const controller = new AbortController();
  let finish: ((value: string) => void) | undefined;
  const value = new Promise<string>((resolve) => {
    finish = resolve;
  });
  const leaving = untilCancelled({ signal: controller.signal }, () => value);
  const staying = untilCancelled(undefined, () => value);
  controller.abort();
  await expect(leaving).rejects.toMatchObject({ name: "CardCancelledError" });
  finish?.("read");
  await expect(staying).resolves.toBe("read");
});

test("a logout is done although its signal has aborted", async () => {
  let isDone = false;
  const work = async (): Promise<void> => {
    await Promise.resolve();
    isDone = true;
  };
  await expect(completedAnyway({ signal: AbortSignal.abort() }, work)).rejects.toMatchObject({
    name: "CardCancelledError",
  });
  expect(isDone).toBe(true);
});
