import { CardError, DataError } from "../apdu/index.ts";
import { toHex } from "../bytes/index.ts";
import { CardAccessError, CardCancelledError, CardGoneError, LoginRequiredError } from "../card/index.ts";
import { check, checkEqual, ConformanceError, errorText, failureOf } from "./check.ts";
import { checkUse, firstUse, loginWith, useKey } from "./key-uses.ts";
import { ProfileBench, type ProfileTest, tries } from "./profile-bench.ts";

/** Aborts, answers that no card should give, and a card that is gone. */
export const FAULT_TESTS: Readonly<Record<string, ProfileTest>> = {
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
};

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
