import type { CardPrivateKey, CardToken, KeyPrimitive } from "../card/index.ts";
import { type KeyTrial, trialsOf } from "./key-trials.ts";
import type { ProfileBench } from "./profile-bench.ts";

/** The private keys of a token that are on its card. */
export async function presentKeys(token: CardToken): Promise<readonly CardPrivateKey[]> {
  const found: CardPrivateKey[] = [];
  for (const object of await token.objects()) {
    if (object.class !== "private-key") continue;
    if (await object.isPresent({ explicitlyRequested: false })) found.push(object);
  }
  return found;
}

/** Calls that take an AbortSignal, in one place. */
export const loginWith = (token: CardToken, pin: Uint8Array, signal?: AbortSignal): Promise<void> =>
  token.login("user", pin, { signal });

/** Uses a key, with its PIN right before if it wants that. */
export async function useKey(
  token: CardToken,
  key: CardPrivateKey,
  { pin, primitive, input, signal }: KeyUseRequest,
): Promise<Uint8Array> {
  if (!key.alwaysAuthenticate) return token.use(key, primitive, input, { signal });
  if (!token.authenticate) {
    await loginWith(token, pin, signal);
    return token.use(key, primitive, input, { signal });
  }
  await using use = await token.authenticate(key, pin, { signal });
  return await use.use(primitive, input, { signal });
}

/** What {@link useKey} does. */
export interface KeyUseRequest {
  readonly pin: Uint8Array;
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

/** A key, and a use of it. */
interface Use {
  readonly key: CardPrivateKey;
  readonly trial: KeyTrial;
}

/** A key and a use of it, of a token whose user is logged in. */
export async function firstUse(
  token: CardToken,
  wanted: (key: CardPrivateKey) => boolean = () => true,
): Promise<Use | undefined> {
  for (const key of (await presentKeys(token)).filter(wanted)) {
    const [trial] = await trialsOf(key);
    if (trial) return { key, trial };
  }
  return undefined;
}

/** A key works, and its public key confirms the result. */
export async function checkUse(bench: ProfileBench, token: CardToken): Promise<void> {
  const use = await firstUse(token);
  if (use) await use.trial.judge(await useKey(token, use.key, { ...use.trial, pin: bench.pin }));
}
