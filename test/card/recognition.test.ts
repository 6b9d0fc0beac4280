import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { Card, CardGoneError, type CardProfile, CardRecognition } from "../../src/card/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";

const READER = "Memory Reader";

/** A connected card that answers nothing: the profiles here do not ask it. */
async function cardWith(atr: string): Promise<Card> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, {
    atr: fromHex(atr),
    reset: () => undefined,
    transmit: () => Promise.resolve(fromHex("6d00")),
  });
  return new Card(await readers.client().connect(READER));
}

/** Profiles that write down when they are asked. */
class Asked {
  readonly names: string[] = [];

  profile(name: CardProfile["name"], claims: boolean, expects?: NonNullable<CardProfile["expects"]>): CardProfile {
    return {
      name,
      ...(expects && { expects }),
      claim: () => {
        this.names.push(name);
        return Promise.resolve(claims ? { profile: name, tokens: [] } : undefined);
      },
    };
  }

  take(): readonly string[] {
    return this.names.splice(0);
  }
}

const ATR = "3b80800101";
const OTHER_ATR = "3b800181";

describe("the profiles are asked", () => {
  test("in the order that was given, until one claims the card", async () => {
    const asked = new Asked();
    const recognition = new CardRecognition([asked.profile("piv", false), asked.profile("cac", true)]);
    expect(await recognition.claim(await cardWith(ATR))).toMatchObject({ profile: "cac" });
    expect(asked.take()).toEqual(["piv", "cac"]);
  });

  test("those first that expect such a card, in their order", async () => {
    const asked = new Asked();
    const recognition = new CardRecognition([
      asked.profile("piv", false),
      asked.profile("pkcs15", false, () => Promise.resolve(true)),
      asked.profile("cac", false, (atr) => atr.length > 0),
    ]);
    expect(await recognition.claim(await cardWith(ATR))).toBeUndefined();
    expect(asked.take()).toEqual(["pkcs15", "cac", "piv"]);
  });

  test("the one first that claimed a card with the same answer to reset", async () => {
    const asked = new Asked();
    const recognition = new CardRecognition([
      asked.profile("piv", false, () => true),
      asked.profile("pkcs15", false),
      asked.profile("cac", true),
    ]);
    await recognition.claim(await cardWith(ATR));
    asked.take();
    expect(await recognition.claim(await cardWith(ATR))).toMatchObject({ profile: "cac" });
    expect(asked.take()).toEqual(["cac"]);
    await recognition.claim(await cardWith(OTHER_ATR));
    expect(asked.take()).toEqual(["piv", "pkcs15", "cac"]);
  });

  test("all of them, where the remembered one has another card before it", async () => {
    const asked = new Asked();
    let claims = true;
    const fickle: CardProfile = {
      name: "cac",
      claim: () => {
        asked.names.push("cac");
        return Promise.resolve(claims ? { profile: "cac", tokens: [] } : undefined);
      },
    };
    const recognition = new CardRecognition([asked.profile("piv", false), fickle, asked.profile("pkcs15", true)]);
    await recognition.claim(await cardWith(ATR));
    asked.take();
    claims = false;
    expect(await recognition.claim(await cardWith(ATR))).toMatchObject({ profile: "pkcs15" });
    expect(asked.take()).toEqual(["cac", "piv", "pkcs15"]);
    await recognition.claim(await cardWith(ATR));
    expect(asked.take()).toEqual(["pkcs15"]);
  });
});

test("what takes long is asked only where no profile claims the card quickly", async () => {
  const asked = new Asked();
  const slow = (claims: boolean): CardProfile => ({
    name: "pkcs15",
    searches: true,
    claim: (_card, effort) => {
      asked.names.push(effort === "quick" ? "quick" : "pkcs15");
      return Promise.resolve(claims && effort === "thorough" ? { profile: "pkcs15", tokens: [] } : undefined);
    },
  });
  await new CardRecognition([slow(true), asked.profile("cac", true)]).claim(await cardWith(ATR));
  expect(asked.take()).toEqual(["quick", "cac"]);
  const recognition = new CardRecognition([slow(true), asked.profile("cac", false)]);
  expect(await recognition.claim(await cardWith(ATR))).toMatchObject({ profile: "pkcs15" });
  expect(asked.take()).toEqual(["quick", "cac", "pkcs15"]);
  await recognition.claim(await cardWith(ATR));
  expect(asked.take()).toEqual(["pkcs15"]);
  await new CardRecognition([asked.profile("cac", true), { ...slow(true), expects: () => true }]).claim(
    await cardWith(ATR),
  );
  expect(asked.take()).toEqual(["pkcs15"]);
});

test("a search is told which profiles were asked before, itself among them", async () => {
  const seen: (readonly string[])[] = [];
  const profile = (name: string, searches: boolean): CardProfile => ({
    name,
    searches,
    claim: (_card, effort, { asked } = {}) => {
      if (effort === "thorough") seen.push([...(asked ?? [])].map((one) => one.name));
      return Promise.resolve(undefined);
    },
  });
  const recognition = new CardRecognition([profile("one", true), profile("two", false), profile("three", true)]);
  expect(await recognition.claim(await cardWith(ATR))).toBeUndefined();
  expect(seen).toEqual([
    ["one", "two", "three"],
    ["one", "two", "three"],
  ]);
});

test("a card that went away in the middle is no card of another profile", async () => {
  const asked = new Asked();
  const gone: CardProfile = { name: "piv", claim: () => Promise.reject(new CardGoneError("gone")) };
  const recognition = new CardRecognition([gone, asked.profile("cac", true)]);
  await expect(recognition.claim(await cardWith(ATR))).rejects.toThrow(CardGoneError);
  expect(asked.take()).toEqual([]);
});
