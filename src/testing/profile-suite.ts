import { CardError, DataError } from "../apdu/index.ts";
import { toHex } from "../bytes/index.ts";
import {
  CardAccessError,
  CardCancelledError,
  CardGoneError,
  type CardPrivateKey,
  type CardToken,
  LoginRequiredError,
  PinError,
} from "../card/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki } from "../cryptoki/index.ts";
import { check, checkEqual, type ConformanceTest, ConformanceError, errorText, failureOf } from "./check.ts";
import { type KeyTrial, trialsOf } from "./key-trials.ts";
import { loginWith, presentKeys, ProfileBench, type ProfileSubject, useKey } from "./profile-bench.ts";
import { ScriptedCard } from "./scripted-card.ts";

export type { ProfileSubject } from "./profile-bench.ts";

type Body = (bench: ProfileBench, subject: ProfileSubject) => Promise<void>;

/** What every card profile does, with a card of its own and with others. */
export function profileSuite(subject: ProfileSubject): readonly ConformanceTest[] {
  return Object.entries<Body>(TESTS).map(([name, body]) => ({
    name,
    run: async () => {
      await using bench = await ProfileBench.with(subject);
      await body(bench, subject);
    },
  }));
}

/** Exchanges of a quick claim with a card that has nothing of the profile. */
const QUICK = 2;
/** Instructions that a claim has no business with: PINs with data, and what changes a card. */
const HARMFUL: ReadonlySet<number | undefined> = new Set([
  ...[0x21, 0x24, 0x25, 0x26, 0x28, 0x2c, 0x2d, 0x46, 0x47, 0xd0, 0xd1, 0xd2, 0xd6, 0xd7, 0xda, 0xdb, 0xdc, 0xdd],
  ...[0xe0, 0xe2, 0xe4, 0xe6, 0xfe],
]);
const VERIFY = 0x20;

const isHarmful = (command: Uint8Array): boolean =>
  HARMFUL.has(command[1]) || (command[1] === VERIFY && command.length > 5);

async function tries(token: CardToken): Promise<number | undefined> {
  return (await token.pinStatus("user")).triesLeft;
}

/** The PIN failure of a login. */
async function refusedLogin(token: CardToken, pin: Uint8Array, what: string): Promise<PinError> {
  const error = await failureOf(loginWith(token, pin), `a login with ${what}`);
  check(error instanceof PinError, `a login with ${what} fails with ${errorText(error)}, and not with a PinError`);
  return error;
}

interface Use {
  readonly key: CardPrivateKey;
  readonly trial: KeyTrial;
}

/** A key and a use of it, of a token whose user is logged in. */
async function firstUse(
  token: CardToken,
  wanted: (key: CardPrivateKey) => boolean = () => true,
): Promise<Use | undefined> {
  for (const key of (await presentKeys(token)).filter(wanted)) {
    const [trial] = await trialsOf(key);
    if (trial) return { key, trial };
  }
  return undefined;
}

const isContractError = (error: unknown): boolean =>
  error instanceof CardError || error instanceof CardAccessError || error instanceof DataError;

/** Work with a token from its claim on. Errors of a broken card may end it anywhere. */
async function wholeWork(bench: ProfileBench): Promise<void> {
  const token = await bench.token();
  await token.info();
  await token.pinStatus("user");
  for (const object of await token.objects()) {
    if (!(await object.isPresent({ explicitlyRequested: true }))) continue;
    if ("value" in object) await object.value().catch(passContractErrors);
    else await object.publicKey().catch(passContractErrors);
  }
  await loginWith(token, bench.pin);
  const use = await firstUse(token);
  if (use) await useKey(token, use.key, { ...use.trial, pin: bench.pin });
  await token.logout();
}

function passContractErrors(error: unknown): void {
  if (!isContractError(error)) throw error;
}

/** Answers that no card should give, in place of the right one. */
const BROKEN_ANSWERS: readonly Uint8Array[] = ["", "00", "6f00", "6982", "ffffffff9000"].map((hex) =>
  Uint8Array.from(hex.match(/../gu) ?? [], (pair) => Number.parseInt(pair, 16)),
);

const TESTS: Readonly<Record<string, Body>> = {
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

  "spends one try for a wrong PIN, and tells how many are left": async (bench) => {
    const token = await bench.token();
    const before = await tries(token);
    const error = await refusedLogin(token, bench.wrongPin, "a wrong PIN");
    checkEqual(error.reason, before === 1 ? "blocked" : "incorrect", "the reason");
    if (before === undefined) return;
    checkEqual(error.triesLeft, before - 1, "triesLeft of the error");
    checkEqual(await tries(token), before - 1, "the tries after a wrong PIN");
    await loginWith(token, bench.pin);
    await token.logout();
    checkEqual(await tries(token), before, "the tries after the right PIN");
  },

  "sends no PIN that is too short or too long": async (bench) => {
    const token = await bench.token();
    const { minLength, maxLength } = (await token.info()).pin;
    const before = await tries(token);
    for (const length of [minLength - 1, maxLength + 1]) {
      if (length < 0) continue;
      bench.commands.length = 0;
      const error = await refusedLogin(token, new Uint8Array(length).fill(0x31), `a PIN of ${length} bytes`);
      checkEqual(error.reason, "length", `the reason for a PIN of ${length} bytes`);
      check(!bench.commands.some(isHarmful), `a PIN of ${length} bytes is sent to the card`);
    }
    checkEqual(await tries(token), before, "the tries after PINs that the card was not to see");
  },

  "forgets the PIN at a logout": async (bench) => {
    const token = await bench.token();
    await loginWith(token, bench.pin);
    await token.logout();
    await checkLoginRequired(bench, token, "a logout");
  },

  "forgets the PIN at another program's reset": async (bench) => {
    const token = await bench.token();
    await loginWith(token, bench.pin);
    await bench.resetByOther();
    await checkLoginRequired(bench, token, "a reset");
    await loginWith(token, bench.pin);
    await checkUse(bench, token);
  },

  "computes with its keys what their public keys confirm": async (bench) => {
    const token = await bench.token();
    await loginWith(token, bench.pin);
    for (const key of await presentKeys(token)) {
      for (const trial of await trialsOf(key)) {
        try {
          await trial.judge(await useKey(token, key, { ...trial, pin: bench.pin }));
        } catch (cause) {
          throw new ConformanceError(`${key.reference}, ${trial.primitive}: ${errorText(cause)}`, { cause });
        }
      }
    }
  },

  "sends no PIN to an application that another program selected": async (bench) => {
    const token = await bench.token();
    const before = await tries(token);
    await bench.selectOther();
    await loginWith(token, bench.pin);
    checkEqual(bench.strayPins.length, 0, "the number of PINs that reached another application");
    await bench.selectOther();
    await checkUse(bench, token).catch(async (error: unknown) => {
      // On many cards a selection drops the PIN.
      if (!(error instanceof LoginRequiredError)) throw error;
      await loginWith(token, bench.pin);
      await checkUse(bench, token);
    });
    await token.logout();
    checkEqual(bench.strayPins.length, 0, "the number of PINs that reached another application");
    checkEqual(await tries(token), before, "the tries");
  },

  "survives an abort at each exchange": async (bench) => {
    const token = await bench.token();
    const before = await tries(token);
    await loginWith(token, bench.pin);
    const use = await firstUse(token);
    const calls: readonly ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => loginWith(token, bench.pin, signal),
      ...(use
        ? [(signal: AbortSignal): Promise<unknown> => useKey(token, use.key, { ...use.trial, pin: bench.pin, signal })]
        : []),
    ];
    for (const call of calls) {
      for (let number = 1; ; number++) {
        await loginWith(token, bench.pin);
        bench.countFromHere();
        const controller = new AbortController();
        bench.before = (now) => {
          if (now === number) controller.abort();
          return undefined;
        };
        const error: unknown = await call(controller.signal).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        bench.before = undefined;
        check(
          error === undefined || error instanceof CardCancelledError,
          `a call that is aborted at exchange ${number} fails with ${errorText(error)}, and not with a CardCancelledError`,
        );
        if (bench.counted < number) break;
        await loginWith(token, bench.pin);
        await checkUse(bench, token);
      }
    }
    await token.logout();
    checkEqual(await tries(token), before, "the tries after aborted calls");
  },

  "tells by the contract's errors what goes wrong": async (_bench, subject) => {
    for (const shift of [0, 2]) {
      for (let number = 1, wasReached = true; wasReached; number++) {
        const answer = BROKEN_ANSWERS[(number + shift) % BROKEN_ANSWERS.length] ?? new Uint8Array();
        await using broken = await ProfileBench.with(subject);
        broken.before = (now) => (now === number ? answer.slice() : undefined);
        try {
          await wholeWork(broken);
        } catch (error) {
          check(
            error instanceof ConformanceError || isContractError(error),
            `with the answer "${toHex(answer)}" to command ${number}: ${errorText(error)}, which is no error of the contract`,
          );
        }
        wasReached = broken.counted >= number;
      }
    }
  },

  "tells that the card is gone": async (bench) => {
    const token = await bench.token();
    const use = await firstUse(token);
    bench.takeOut();
    const failures = [await failureOf(loginWith(token, bench.pin), "a login without a card")];
    if (use) {
      const { primitive, input } = use.trial;
      failures.push(
        await failureOf(useKey(token, use.key, { primitive, input, pin: bench.pin }), "a use without a card"),
      );
    }
    for (const error of failures) {
      // A key that wants a login may say so before the card is asked.
      const isRight = error instanceof CardGoneError || error instanceof LoginRequiredError;
      check(isRight, `without the card, a call fails with ${errorText(error)}, and not with a CardGoneError`);
    }
    check(failures[0] instanceof CardGoneError, "a login without a card does not fail with a CardGoneError");
  },

  "shows no secret in a trace": async (bench) => {
    const token = await bench.token();
    await refusedLogin(token, bench.wrongPin, "a wrong PIN");
    await loginWith(token, bench.pin);
    const pins = [bench.pin, bench.wrongPin];
    const results: Uint8Array[] = [];
    for (const key of await presentKeys(token)) {
      for (const trial of await trialsOf(key)) {
        const result = await useKey(token, key, { ...trial, pin: bench.pin });
        if (trial.isSecret) results.push(result.subarray(0, 16));
      }
    }
    check(bench.trace.length > 0, "nothing was traced: the profile reaches the card by another way than its Card");
    for (const event of bench.trace) {
      // A public answer may hold the digits of a PIN by chance, in the holder's number.
      const asked = [event.command, ...event.explanation.details].join(" ").toLowerCase();
      const isShown =
        pins.some((pin) => asked.includes(toHex(pin))) ||
        results.some((result) => event.answer.includes(toHex(result)));
      check(!isShown, `the trace shows a secret of a command ${event.explanation.name}: its builder has to declare it`);
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

/** Uses a key that wants a login, of a token whose user is not logged in. */
async function checkLoginRequired(bench: ProfileBench, token: CardToken, after: string): Promise<void> {
  check(!(await token.pinStatus("user")).verified, `after ${after} the card still counts the PIN as verified`);
  const use = await firstUse(token, ({ needsLogin, alwaysAuthenticate }) => needsLogin && !alwaysAuthenticate);
  if (!use) return;
  const { primitive, input } = use.trial;
  const error = await failureOf(useKey(token, use.key, { primitive, input, pin: bench.pin }), `after ${after}, a use`);
  check(
    error instanceof LoginRequiredError,
    `after ${after}, a key that needs a login fails with ${errorText(error)}, and not with a LoginRequiredError`,
  );
}

/** A key works, and its public key confirms the result. */
async function checkUse(bench: ProfileBench, token: CardToken): Promise<void> {
  const use = await firstUse(token);
  if (use) await use.trial.judge(await useKey(token, use.key, { ...use.trial, pin: bench.pin }));
}
