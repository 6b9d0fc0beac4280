import { constants, createPublicKey, publicEncrypt } from "node:crypto";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import type { VirtualCard } from "../../src/virtual/index.ts";
import { AppletCard } from "../cac/applet-card.ts";
import { key as cacKey, listedApplets } from "../cac/cards.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";
import { NEIGHBOUR, SharedCard } from "../virtual/shared-card.ts";

const READER = "Memory Reader";
const HOUR = 3_600_000;
/** Milliseconds for which a transaction lasts after a call, and more. */
const LINGER = 1_000;
const START = Date.parse("2026-06-01T12:00:00Z");

/** A key of an RSA certificate, and the card it is on. */
interface Subject {
  readonly profile: string;
  readonly make: () => Promise<VirtualCard>;
  readonly pin: string;
  readonly id: string;
  readonly key: () => ReturnType<typeof testKey>;
}

const SUBJECTS: readonly Subject[] = [
  { profile: "PIV", make: () => testCard(), pin: "123456", id: "01", key: () => testKey("rsa-2048", "9a") },
  {
    profile: "PKCS #15",
    make: () => testPkcs15Card(),
    pin: "123456",
    id: "01",
    key: () => testKey("rsa-2048", "authentication"),
  },
  {
    profile: "CAC",
    make: () => Promise.resolve(new AppletCard(listedApplets())),
    pin: "12345678",
    id: "0001",
    key: () => cacKey(1),
  },
];

/** Hours by which the clock is set at the call with this number. */
const STEPS: Readonly<Record<string, (call: number) => number>> = {
  "forward at each call": () => 1,
  "back at each call": () => -1,
  "to and fro": (call) => (call % 2 === 0 ? 1 : -1),
};

/** Commands that reach the card while a program works, a visitor comes and goes, and the clock is set between two calls. */
async function commandsOf(
  { pin, id }: Subject,
  card: VirtualCard,
  ciphertext: Uint8Array,
  step: (call: number) => number,
): Promise<readonly string[]> {
  const commands: string[] = [];
  const shared = new SharedCard(card);
  shared.onCommand = (command) => void commands.push(toHex(command));
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, shared);
  jest.setSystemTime(START);
  let calls = 0;
  const next = <T>(call: Promise<T>): Promise<T> => {
    jest.setSystemTime(Date.now() + step(calls++) * HOUR);
    return call;
  };
  const visit = async (): Promise<void> => {
    // Without it the transaction would go on for ever after the last call.
    await jest.advanceTimersByTimeAsync(LINGER);
    const visitor = await readers.client().connect(READER);
    const { aid } = NEIGHBOUR;
    await visitor.transmit(Uint8Array.of(0x00, 0xa4, 0x04, 0x00, aid.length, ...aid));
    await visitor.disconnect();
  };

  const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles });
  await cryptoki.C_Initialize();
  const [slot = -1] = await next(cryptoki.C_GetSlotList(true));
  const session = await next(cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION));
  await visit();
  await next(cryptoki.C_Login(session, CKU.USER, pin));
  const template = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") };
  await next(cryptoki.C_FindObjectsInit(session, template));
  const [key = 0] = await next(cryptoki.C_FindObjects(session, 1));
  await next(cryptoki.C_FindObjectsFinal(session));
  for (const visited of [false, true, false, false]) {
    if (visited) await visit();
    await next(cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key));
    await next(cryptoki.C_Sign(session, utf8("what the card signs")));
    await next(cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, key));
    await next(cryptoki.C_Decrypt(session, ciphertext));
  }
  await next(cryptoki.C_Logout(session));
  await next(cryptoki.C_Login(session, CKU.USER, pin));
  await next(cryptoki.C_GetTokenInfo(slot));
  await next(cryptoki.C_CloseSession(session));
  await cryptoki.C_Finalize();
  return commands;
}

describe.each(SUBJECTS)("$profile, while the clock of the machine is set", (subject) => {
  let ciphertext: Uint8Array;

  // The monotonic clock stands still, so that only the other one can make a difference.
  beforeEach(() => {
    ciphertext = publicEncrypt(
      { key: createPublicKey(subject.key()), padding: constants.RSA_PKCS1_PADDING },
      utf8("a secret"),
    );
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate"] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test.each(Object.keys(STEPS))("by an hour, %s: the card gets the same commands", async (name) => {
    const step = STEPS[name] ?? ((): number => 0);
    const card = await subject.make();
    const undisturbed = await commandsOf(subject, card, ciphertext, () => 0);
    card.reset();
    expect(await commandsOf(subject, card, ciphertext, step)).toEqual(undisturbed);
    expect(undisturbed.length).toBeGreaterThan(15);
  });
});
