import { toHex } from "../bytes/index.ts";
import { type CallOptions, type CardApplication, CardCancelledError, type CardToken } from "../card/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki } from "../cryptoki/index.ts";
import { check, checkEqual, errorText } from "./check.ts";
import { loginWith, presentKeys } from "./key-uses.ts";
import { isHarmful, ProfileBench, type ProfileTest } from "./profile-bench.ts";
import { ScriptedCard } from "./scripted-card.ts";

/** What a profile recognises, and what it shows of a card. */
export const READING_TESTS: Readonly<Record<string, ProfileTest>> = {
  "has a name, and its applications the same one": async (bench, { profile }) => {
    check(profile.name !== "", "the profile's name is empty");
    const application = await bench.claim();
    checkEqual(application.profile, profile.name, "the application's profile");
    check(application.tokens.length > 0, "the application has no tokens");
  },

  "does not claim a card of another kind, and does no harm to it": async (_bench, subject) => {
    for (const refusal of ["6a82", "6d00", "6e00", "6a86", "6985"]) {
      for (const effort of ["quick", "thorough"] as const) {
        const card = new ScriptedCard(() => refusal, { atr: "3b00" });
        await using foreign = await ProfileBench.with(subject, card);
        const claimed = await subject.profile.claim(await foreign.connect(), effort);
        check(claimed === undefined, `a card that answers ${refusal} to everything is claimed`);
        const harmful = foreign.commands.find(isHarmful);
        check(harmful === undefined, `a claim sends instruction ${toHex(harmful?.subarray(1, 2) ?? new Uint8Array())}`);
      }
    }
  },

  "claims quickly within two exchanges": async (_bench, subject) => {
    const card = new ScriptedCard(() => "6a82", { atr: "3b00" });
    await using foreign = await ProfileBench.with(subject, card);
    await subject.profile.claim(await foreign.connect(), "quick");
    check(card.received.length <= QUICK, `a quick claim takes ${card.received.length} exchanges, ${QUICK} at most`);
  },

  "expects nothing from an answer to reset that cannot be read": async (_bench, { profile }) => {
    for (const atr of [new Uint8Array(), Uint8Array.of(0x3b), Uint8Array.of(0x3b, 0xff), new Uint8Array(33)]) {
      check((await profile.expects?.(atr)) !== true, `an answer to reset ${toHex(atr) || "without bytes"} is expected`);
    }
  },

  "tells what the token is": async (bench) => {
    const info = await (await bench.token()).info();
    check(info.label !== "", "the token's label is empty");
    const { minLength, maxLength } = info.pin;
    check(minLength <= maxLength, `the PIN has ${minLength} bytes at least and ${maxLength} at most`);
    const { length } = bench.pin;
    check(length >= minLength && length <= maxLength, `the PIN has ${length} bytes, outside of its bounds`);
  },

  "names each object by one reference, always the same": async (bench) => {
    const token = await bench.token();
    const references = (await token.objects()).map(({ reference }) => reference);
    check(
      references.every((reference) => reference !== ""),
      "an object has an empty reference",
    );
    checkEqual(references.length, new Set(references).size, "the number of objects with references of their own");
    checkEqual(
      (await token.objects()).map(({ reference }) => reference),
      references,
      "the references, asked again",
    );
    for (const wanted of ["certificate", "public-key", "private-key", "data"] as const) {
      const ofClass = (objects: Awaited<ReturnType<CardToken["objects"]>>): readonly string[] =>
        objects.filter((object) => object.class === wanted).map(({ reference }) => reference);
      checkEqual(
        ofClass(await token.objects([wanted])),
        ofClass(await token.objects()),
        `the objects of class ${wanted}`,
      );
    }
  },

  "says of each object whether it is there, and gives what is": async (bench) => {
    const token = await bench.token();
    await loginWith(token, bench.pin);
    for (const object of await token.objects()) {
      const { reference } = object;
      const isPresent = await object.isPresent({ explicitlyRequested: true });
      checkEqual(
        await object.isPresent({ explicitlyRequested: true }),
        isPresent,
        `presence of ${reference}, asked again`,
      );
      if (await object.isPresent({ explicitlyRequested: false })) {
        check(isPresent, `${reference} is there for any search, and not for one that names it`);
      }
      if (!isPresent) continue;
      if (object.class === "certificate" && object.url !== undefined) continue;
      const value = "value" in object ? await object.value() : await object.publicKey();
      const isDer = object.class === "data" || value[0] === 0x30;
      check(isDer, `${reference} is there, and its value is no DER`);
    }
  },

  "gives a private key and its public key one CKA_ID": async (bench) => {
    const token = await bench.token();
    const objects = await token.objects();
    for (const key of await presentKeys(token)) {
      check(key.id.length > 0, `private key ${key.reference} has no CKA_ID`);
      const ids = objects.filter((other) => other.class !== "private-key").map(({ id }) => toHex(id));
      check(ids.includes(toHex(key.id)), `no certificate and no public key has the CKA_ID of ${key.reference}`);
    }
  },

  "reads nothing for a caller that has left": async (bench) => {
    const signal = AbortSignal.abort();
    for (const [name, read] of await readsOf(bench)) {
      bench.commands.length = 0;
      const error: unknown = await read({ signal }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      check(
        error === undefined || error instanceof CardCancelledError,
        `${name} with an aborted signal fails with ${errorText(error)}, and not with a CardCancelledError`,
      );
      checkEqual(bench.commands.length, 0, `the number of commands of ${name} with an aborted signal`);
    }
  },

  "works in the facade": async (bench, { profile, token: index = 0 }) => {
    await using cryptoki = new Cryptoki({ pcsc: bench.pcsc(), profiles: [profile] });
    await cryptoki.C_Initialize();
    const slots = await cryptoki.C_GetSlotList(true);
    const own = await bench.claim();
    checkEqual(slots.length, own.tokens.length, "the number of slots with a token");
    const slot = slots[index];
    check(slot !== undefined, `there is no slot ${index}`);
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, bench.pin);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY });
    const found = await cryptoki.C_FindObjects(session, 1_000);
    await cryptoki.C_FindObjectsFinal(session);
    const token = own.tokens[index];
    const expected = token ? (await presentKeys(token)).length : 0;
    checkEqual(found.length, expected, "the number of private keys");
  },
};

/** Exchanges of a quick claim with a card that has nothing of the profile. */
const QUICK = 2;

type Read = readonly [name: string, read: (options: CallOptions) => Promise<unknown>];

/** The reading methods of a token that nothing has been read of, and of its objects. */
async function readsOf(bench: ProfileBench): Promise<readonly Read[]> {
  const { profile } = bench.subject;
  const card = await bench.connect();
  const claim = (options: CallOptions): Promise<CardApplication | undefined> =>
    profile.claim(card, "thorough", options);
  const token: CardToken = await bench.token();
  const reads: Read[] = [
    ["claim", claim],
    ["info", (options) => token.info(options)],
    ["objects", (options) => token.objects(undefined, options)],
    ["pinStatus", (options) => token.pinStatus("user", true, options)],
  ];
  for (const object of await token.objects()) {
    const { reference } = object;
    const search = { explicitlyRequested: true };
    reads.push([`isPresent of ${reference}`, (options) => object.isPresent(search, options)]);
    if ("value" in object) reads.push([`value of ${reference}`, (options) => object.value(options)]);
    else reads.push([`publicKey of ${reference}`, (options) => object.publicKey(options)]);
  }
  return reads;
}
