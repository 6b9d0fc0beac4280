import { toHex } from "../bytes/index.ts";
import { type CardToken, LoginRequiredError, PinError } from "../card/index.ts";
import { check, checkEqual, ConformanceError, errorText, failureOf } from "./check.ts";
import { trialsOf } from "./key-trials.ts";
import { checkUse, firstUse, loginWith, presentKeys, useKey } from "./key-uses.ts";
import { isHarmful, type ProfileBench, type ProfileTest, tries } from "./profile-bench.ts";

/** PINs, and what they protect. */
export const PIN_TESTS: Readonly<Record<string, ProfileTest>> = {
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
};

/** The PIN failure of a login. */
async function refusedLogin(token: CardToken, pin: Uint8Array, what: string): Promise<PinError> {
  const error = await failureOf(loginWith(token, pin), `a login with ${what}`);
  check(error instanceof PinError, `a login with ${what} fails with ${errorText(error)}, and not with a PinError`);
  return error;
}

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
